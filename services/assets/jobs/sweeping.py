"""Bytes that nobody has, or will have, go."""

from __future__ import annotations

from datetime import timedelta

from chassis.clock import Clock
from chassis.jobs import Job
from services.assets.adapters.storage import Storage
from services.assets.domain.rows import UPLOAD_OPEN, UPLOAD_REMEMBERED
from services.assets.repository import Library, Publications, Uploads

WRITING = timedelta(minutes=3)
"""An object that no asset has by then was left by a process that died between writing and commit."""
BATCH = 1000


class Sweeper:
    """Ends uploads that nobody completed and removes objects that no row wants."""

    def __init__(
        self, uploads: Uploads, library: Library, publications: Publications, storage: Storage, clock: Clock
    ) -> None:
        self._uploads, self._library, self._publications = uploads, library, publications
        self._storage, self._clock = storage, clock

    def jobs(self) -> list[Job]:
        """The sweeps, each every half a minute."""
        every = timedelta(seconds=30)
        return [
            Job("quarantine", every, self.sweep_quarantine),
            Job("library", every, self.sweep_library),
            Job("public", every, self.sweep_public),
        ]

    async def sweep_quarantine(self) -> None:
        """End old uploads, then remove what lies in quarantine without an open one.

        Storage is listed first: what is in the list then has an upload, or had one. So an object that
        arrives late, or of a person who is gone, goes as well.
        """
        keys = await self._storage.quarantined()
        now = self._clock.now()
        await self._uploads.end(opened_before=now - UPLOAD_OPEN, completed_before=now - UPLOAD_REMEMBERED)
        wanted = await self._uploads.wanted(keys)
        if unwanted := [key for key in keys if key not in wanted]:
            await self._storage.discard(unwanted)

    async def sweep_library(self) -> None:
        """Remove objects that lost their asset, or never had one."""
        while keys := await self._library.loose(self._clock.now() - WRITING, BATCH):
            await self._storage.remove(keys)
            await self._library.forget(keys)

    async def sweep_public(self) -> None:
        """Remove public bytes that never became a publication; what is one stays."""
        if abandoned := await self._publications.abandoned(self._clock.now() - WRITING):
            await self._storage.unpublish(abandoned)
            await self._publications.forget(abandoned)
