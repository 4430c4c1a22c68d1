"""Where files are looked at: in threads of their own, as many at a time as memory allows."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

from services.assets.adapters.pictures import checked
from services.assets.domain.library import Content
from services.assets.domain.media import MediaKind, MediaType, clean
from services.assets.domain.refusals import ContentChanged, LibraryBusy

ROOM = 384 * 1024 * 1024
"""Bytes of files that are looked at, all together; a file takes three times its size."""
PATIENCE = 5.0  # seconds that a file waits for room


class Workshop:
    """Verifies, cleans and decodes. `threads` files at a time, `room` bytes at most."""

    def __init__(self, threads: int = 2, room: int = ROOM, patience: float = PATIENCE) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="workshop")
        self._free = self._room = room
        self._patience = patience
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def room_for(self, size: int) -> AsyncIterator[None]:
        """Room for a file of `size` bytes until the block ends; raises LibraryBusy if none gets free."""
        needed = self._needed(size)
        try:
            async with asyncio.timeout(self._patience):
                while self._free < needed:
                    self._freed.clear()
                    await self._freed.wait()
                self._free -= needed
        except TimeoutError:
            raise LibraryBusy from None
        try:
            yield
        finally:
            self._give_back(needed)

    async def examine(self, media: MediaType, content: bytes, sha256: str) -> Content:
        """What may enter the library of `content`, which has to have that digest (lower-case hex).

        Raises ContentChanged, ContentTypeMismatch, ContentDamaged, ContentUnsupported, PictureTooLarge,
        ContentTooLarge.
        """
        looking = self._threads.submit(examined, media, content, sha256)
        try:
            return await asyncio.wrap_future(looking)
        except asyncio.CancelledError:
            if not looking.done():
                self._keep(self._needed(len(content)), looking)
            raise

    def _needed(self, size: int) -> int:
        return min(3 * size, self._room)

    def _keep(self, needed: int, looking: Future[Content]) -> None:
        """Who asked leaves, and gives the room back; the thread can't be stopped, and needs it to its end."""
        self._free -= needed
        loop = asyncio.get_running_loop()
        looking.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back, needed))

    def _give_back(self, needed: int) -> None:
        self._free += needed
        self._freed.set()

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def examined(media: MediaType, content: bytes, sha256: str) -> Content:
    """As `Workshop.examine`, on this thread."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ContentChanged(what="their SHA-256")
    cleaned = clean(media, content)
    if media.kind is MediaKind.IMAGE and not (cleaned.decoded and cleaned.orientation == 1):
        cleaned = checked(media, cleaned)
    kept = cleaned.content
    return Content(media, kept, hashlib.sha256(kept).hexdigest(), cleaned.width, cleaned.height)
