"""The state folder as `setup` leaves it, made here: nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.containers.once import settle, topology
from deploy.containers.place import Containers
from deploy.local.infra import SERVICES
from deploy.local.processes import Program
from tests.integration.containers.compose import Json, compose


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("containers") / "state"
    settle(root)
    return root


@pytest.fixture(scope="session")
def told(state: Path) -> dict[str, Program]:
    """What the code that starts local processes would tell those in containers."""
    place = Containers(state)
    told = topology(place)
    programs = [told.service(name) for name in SERVICES]
    programs += [told.sandbox_openai(), told.sandbox_stripe(), told.sandbox_smtp()]
    return {program.name: program for program in programs}


@pytest.fixture(scope="session")
def file() -> Json:
    return compose()


@pytest.fixture(scope="session")
def processes(file: Json) -> Json:
    """The containers of the compose file, by name."""
    services: Json = file["services"]
    return services
