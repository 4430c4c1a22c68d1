"""Assets in this process, on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats
import pytest

from cli.demo import example
from deploy.local.infra import Infra
from tests.integration.assets import world as worlds
from tests.integration.assets.world import Person, World
from tests.support import Announced


@pytest.fixture(scope="session")
async def world(infra: Infra) -> AsyncIterator[World]:
    async with worlds.world(infra) as made:
        yield made


@pytest.fixture(scope="session")
async def announced(infra: Infra) -> AsyncIterator[Announced]:
    """What was announced."""
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    yield Announced(bus)
    await bus.close()


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
    """A photo, whose EXIF has an author and a place."""
    return example.photo().read_bytes()


@pytest.fixture(scope="session")
def coffee() -> bytes:
    """A picture without metadata."""
    return example.plain().read_bytes()
