"""A crowd that wants to be deleted: one after the other, and nobody waits for somebody slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import grpc.aio
import pytest

from services.identity.adapters import erasures as adapter
from services.identity.adapters.erasures import Erasures
from tests.support import eventually


@pytest.fixture
async def erasures() -> AsyncIterator[Erasures]:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        yield Erasures({"privacy": nowhere})


async def _delete(erasures: Erasures, name: str, seen: list[str], until: asyncio.Event | None = None) -> None:
    async with erasures.turn():
        seen.append(f"{name} begins")
        await (until.wait() if until else asyncio.sleep(0))
        seen.append(f"{name} ends")


IN_TURN = ["a begins", "a ends", "b begins", "b ends"]


NEVER = 60.0
"""Seconds: for whom nobody is slow, whatever the machine does meanwhile."""


async def test_one_follows_the_other(erasures: Erasures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "TURN", NEVER)
    seen: list[str] = []
    await asyncio.gather(_delete(erasures, "a", seen), _delete(erasures, "b", seen))
    assert seen == IN_TURN


async def test_others_have_time_between_two_and_whoever_is_refused_takes_none(
    erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "TURN", NEVER)
    monkeypatch.setattr(adapter, "REST", rest := 1.5)
    begun = []

    async def refused() -> None:
        async with erasures.turn():
            begun.append(monotonic())
            raise PermissionError

    with pytest.raises(PermissionError):
        await refused()
    for _ in range(2):
        async with erasures.turn():
            begun.append(monotonic())
    assert begun[1] - begun[0] < rest <= begun[2] - begun[1] + 0.001


async def test_whoever_is_slow_is_overtaken_and_gives_no_second_turn_away(
    erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    answered = asyncio.Event()
    slow = asyncio.create_task(_delete(erasures, "slow", seen, answered))
    await eventually(lambda: bool(seen))
    await _delete(erasures, "quick", seen)
    assert seen == ["slow begins", "quick begins", "quick ends"]
    answered.set()
    await slow
    seen.clear()
    monkeypatch.setattr(adapter, "TURN", NEVER)
    await asyncio.gather(_delete(erasures, "a", seen), _delete(erasures, "b", seen))
    assert seen == IN_TURN
