"""The work queue's one end: claims jobs, keeps their leases, lets them finish when told to stop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

from services.generation.domain import Rules
from services.generation.jobs.work import Work
from services.generation.repository import Jobs

LOG = logging.getLogger("crafiq.generation.queue")

POLL_SECONDS = 0.25
"""How long work that another process took in may wait."""
GRACE_SECONDS = 8.0
"""How long jobs in hand may go on when the process is told to stop."""


class Queue:
    """Claims while there is a free slot. Several may run, in one process or in many."""

    def __init__(self, jobs: Jobs, work: Work, rules: Rules) -> None:
        self._jobs, self._work, self._rules = jobs, work, rules
        self._in_hand: dict[UUID, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled; then claim nothing more and let what is in hand finish."""
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                self._jobs.changes.work.clear()
                await self._fill()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._jobs.changes.work.wait()
        finally:
            await self._finish()
            renewing.cancel()

    async def _fill(self) -> None:
        """Claim as long as there is a free slot and a job."""
        try:
            while len(self._in_hand) < self._rules.slots and await self._claim():
                pass
        except Exception as error:
            # The database is away: that is no reason to let go of what is in hand.
            LOG.warning("nothing can be claimed", exc_info=error)

    async def _claim(self) -> bool:
        claim = await self._jobs.claim(self._rules.share, self._rules.lease)
        if claim is None:
            return False
        task = asyncio.create_task(self._work.carry_out(claim))
        self._in_hand[claim.attempt] = task
        task.add_done_callback(lambda _: self._done(claim.attempt))
        return True

    def _done(self, attempt: UUID) -> None:
        del self._in_hand[attempt]
        self._jobs.changes.work.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._rules.lease.total_seconds() / 3)
            if not self._in_hand:
                continue
            try:
                await self._jobs.renew(list(self._in_hand), self._rules.lease)
            except Exception as error:
                # The database is away; the next round comes before the lease is over.
                LOG.warning("claims can't be renewed", exc_info=error)

    async def _finish(self) -> None:
        tasks = list(self._in_hand.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
