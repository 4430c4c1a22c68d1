"""What is in no pack and was not used for long is removed, once its owner was told twice (policy, 9)."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from prometheus_client import Counter

from chassis.errors import SubjectUnknown
from chassis.jobs import Job
from services.assets.repository import Countdowns, Library

REMOVED = Counter("crafiq_idle_assets_removed", "Assets that were removed because nobody used them.")
FIRST = UUID(int=0)


class Housekeeper:
    """Tells first, removes last; whatever is late makes removal later."""

    def __init__(self, countdowns: Countdowns, library: Library) -> None:
        self._countdowns, self._library = countdowns, library

    def jobs(self) -> list[Job]:
        """The sweep."""
        return [Job("idle assets", timedelta(hours=1), self.run)]

    async def run(self) -> None:
        """Once over everything."""
        await self._countdowns.tidy()
        await self._tell()
        await self._remove()

    async def _tell(self) -> None:
        after = FIRST
        while owners := await self._countdowns.owners(after):
            after = owners[-1]
            for owner in owners:
                with suppress(SubjectUnknown):  # erased this moment, and everything of theirs
                    await self._countdowns.tell(owner)

    async def _remove(self) -> None:
        """Row by row, as their owner would delete them; their objects are then swept as nobody's."""
        after = FIRST
        while overdue := await self._countdowns.overdue(after):
            after = overdue[-1][1]
            for account, asset in overdue:
                if await self._library.expire(account, asset):
                    REMOVED.inc()
