"""What the tests of faults have in common: a ground to stand on, chance with a seed, and what has to hold."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from random import Random

import aiohttp
import pytest

from tests.chaos.load import only_their_own
from tests.chaos.people import Someone, arrive
from tests.chaos.rounds import Ground
from tests.running import Running, started

RECOVERED = float(os.environ.get("CRAFIQ_RECOVERED_SECONDS", "5"))
"""Within how long after the part is back; a machine that has other things to do needs to be given more."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One of its own: what is done to it here is nobody else's."""
    with started(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.fixture
def seed() -> int:
    """`SEED` of the environment, or another each time; a test that fails shows it."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(10**6))
    print(f"SEED={seed}")
    return seed


@pytest.fixture
def chance(seed: int) -> Random:
    return Random(seed)


@pytest.fixture
async def ground(platform: Running) -> AsyncIterator[Ground]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
        yield await Ground.of(platform, http)


async def arrived(ground: Ground, number: int) -> list[Someone]:
    """So many people, with nothing yet."""
    return await asyncio.gather(*(arrive(ground.running, ground.http) for _ in range(number)))


async def all_is_well(ground: Ground, *people: Someone) -> None:
    """Everybody has what is theirs and nothing else, and nothing is open or wrong in any service."""
    await ground.injector.all_back()
    for someone in people:
        await someone.sign_in()
        await someone.at_rest()
        await only_their_own(someone)
    await ground.all_is_closed()


def in_time(seconds: dict[str, float]) -> None:
    """Everybody was back at work soon after the part was."""
    print("back at work after: " + ", ".join(f"{part} {took:.1f} s" for part, took in seconds.items()))
    assert max(seconds.values()) < RECOVERED, seconds
