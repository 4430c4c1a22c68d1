"""Files are looked at a few at a time, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import threading

import pytest

from services.assets.adapters.workshop import Workshop
from services.assets.domain.media import TYPES
from services.assets.domain.refusals import ContentChanged, ContentDamaged, LibraryBusy
from tests.support import eventually
from tests.unit.assets import makers


async def test_files_wait_for_room_and_are_refused_if_there_is_none() -> None:
    workshop = Workshop(room=30, patience=0.2)
    done: list[str] = []

    async def look(name: str, size: int, until: asyncio.Event) -> None:
        async with workshop.room_for(size):
            await until.wait()
            done.append(name)

    go = asyncio.Event()
    first = asyncio.create_task(look("first", 6, go))
    await asyncio.sleep(0)
    second = asyncio.create_task(look("second", 5, go))
    with pytest.raises(LibraryBusy):
        async with workshop.room_for(7):
            pass
    with pytest.raises(LibraryBusy):
        await second
    third = asyncio.create_task(look("third", 5, go))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, third)
    async with workshop.room_for(10**9):  # larger than all the room: alone
        done.append("large")
    assert done == ["first", "third", "large"]
    workshop.close()


async def test_who_leaves_keeps_the_room_until_the_thread_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    workshop, begun, go = Workshop(threads=1, room=30, patience=0.1), threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        go.wait()

    async def look() -> None:
        async with workshop.room_for(4):
            await workshop.examine(TYPES["image/jpeg"], b"four", "")

    async def room(size: int) -> bool:
        try:
            async with workshop.room_for(size):
                return True
        except LibraryBusy:
            return False

    monkeypatch.setattr("services.assets.adapters.workshop.examined", slow)
    running, queued = asyncio.create_task(look()), asyncio.create_task(look())
    await eventually(begun.is_set)
    for task in (running, queued):
        task.cancel()
    await asyncio.wait([running, queued])
    try:
        assert await room(6)  # that of the one whose turn had not come, and what nobody had
        assert not await room(7)
    finally:
        go.set()
    await eventually(lambda: room(10))
    workshop.close()


async def test_a_file_is_looked_at_in_another_thread() -> None:
    workshop = Workshop(threads=1)
    content = makers.jpeg()
    found = await workshop.examine(TYPES["image/jpeg"], content, hashlib.sha256(content).hexdigest())
    assert (found.width, found.height) == makers.SIZE
    assert found.sha256 == hashlib.sha256(found.content).hexdigest() != hashlib.sha256(content).hexdigest()
    assert any(thread.name.startswith("workshop") for thread in threading.enumerate())
    workshop.close()


@pytest.mark.parametrize(("content", "sha256", "refusal"), [
    (makers.jpeg(), "0" * 64, ContentChanged),
    (makers.jpeg()[:600] + b"\xff\xd9", None, ContentDamaged),
])  # fmt: skip
async def test_what_is_not_as_declared_is_refused(
    content: bytes, sha256: str | None, refusal: type[Exception]
) -> None:
    workshop = Workshop()
    with pytest.raises(refusal):
        await workshop.examine(TYPES["image/jpeg"], content, sha256 or hashlib.sha256(content).hexdigest())
    workshop.close()
