"""Real servers for every test that wants them, started once a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.infra import Infra
from deploy.local.settings import LauncherSettings
from tests.outcomes import RESULTS, Outcomes
from tests.personal import overheard
from tests.running import platform, servers

__all__ = ["infra", "platform"]


def pytest_configure(config: pytest.Config) -> None:
    """What tests say of the promises is remembered for `make promises`."""
    config.pluginmanager.register(Outcomes(LauncherSettings().state / RESULTS))


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
