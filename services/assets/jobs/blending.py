"""Public works of a day become alike: when and in which order they were published is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import SystemRandom
from uuid import UUID

from chassis.clock import Clock
from chassis.jobs import Job
from services.assets.adapters.storage import Storage
from services.assets.repository import Publications

SETTLED = timedelta(hours=2)
"""How long after its end a day is left alone: what became public at its end is drawn by then."""


def shuffled(works: list[UUID]) -> list[UUID]:
    """In an order that nobody can know."""
    return SystemRandom().sample(works, len(works))


class Blending:
    """Storage stamps each object with the second in which it was written. Two works with neighbouring
    stamps were published by the same person, as like as not, and go on saying so when nobody is named
    beside them any more. So the objects of a day are written anew, in an order that `shuffled` chooses.
    """

    def __init__(
        self,
        publications: Publications,
        storage: Storage,
        clock: Clock,
        new_id: Callable[[], UUID],
        shuffled: Callable[[list[UUID]], list[UUID]],
    ) -> None:
        self._publications, self._storage = publications, storage
        self._clock, self._new_id, self._shuffled = clock, new_id, shuffled

    def job(self) -> Job:
        """Once an hour; there is something to do once a day."""
        return Job("blend public works", timedelta(hours=1), self.run)

    async def run(self) -> None:
        """Every day that is over. A day that was interrupted is begun anew."""
        today = (self._clock.now() - SETTLED).date()
        for day in await self._publications.unblended(today):
            for publication in self._shuffled(await self._publications.of_day(day)):
                await self._storage.restamp(publication, self._new_id())
            await self._publications.blended(day)
