"""Assets in this process, on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.infra import Infra
from tests.integration.assets import world as worlds
from tests.integration.assets.world import DATA, Person, World


@pytest.fixture(scope="session")
async def world(infra: Infra) -> AsyncIterator[World]:
    async with worlds.world(infra) as made:
        yield made


@pytest.fixture
async def ada(world: World) -> Person:
    """Somebody with an empty library."""
    return await world.person()


@pytest.fixture
async def bob(world: World) -> Person:
    """Somebody else."""
    return await world.person()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A real photo, whose EXIF has an author and a place."""
    return (DATA / "astronaut-with-gps.jpg").read_bytes()


@pytest.fixture(scope="session")
def coffee() -> bytes:
    """A real photo without metadata."""
    return (DATA / "coffee.png").read_bytes()
