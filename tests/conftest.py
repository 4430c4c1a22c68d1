"""Real servers for every test that wants them, started once a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from deploy.local.infra import Infra
from deploy.local.settings import LauncherSettings
from tests.outcomes import RESULTS, Outcomes
from tests.personal import overheard
from tests.running import READY_SECONDS, platform, servers

__all__ = ["infra", "platform"]

# A machine that stands still for a second is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

PLATFORMS = ("tests/clients", "tests/e2e", "tests/full")


def pytest_configure(config: pytest.Config) -> None:
    """What tests say of the promises is remembered for `make promises`."""
    if not hasattr(config, "workerinput"):  # else it is told to whom the worker works for
        config.pluginmanager.register(Outcomes(LauncherSettings().state / RESULTS))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs side by side share the folders of tests: what is in one folder shares its servers.

    So do all that use the one platform, the last of which looks at what the others left behind.
    """
    for item in items:
        folder = str(item.path.parent.relative_to(item.config.rootpath))
        item.add_marker(pytest.mark.xdist_group("platform" if folder in PLATFORMS else folder))
        if folder in PLATFORMS and item.get_closest_marker("timeout") is None:
            # Whoever comes first waits until the platform is up, as long as that may take, and then begins.
            item.add_marker(pytest.mark.timeout(2 * READY_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The logs and traces of the whole run: at its end no value is in them that a test used as a person's."""
    with overheard(tmp_path_factory.mktemp("said")):
        yield


@pytest.fixture(scope="session")
async def infra() -> AsyncIterator[Infra]:
    """PostgreSQL, NATS and S3 with a role, a user and databases for each service, empty at first.

    They live as long as the run; should the run be killed, the kernel ends them.
    """
    async with servers() as started:
        yield started
