"""What billing does when time passes."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from prometheus_client import Counter

from chassis.errors import Refusal
from services.billing.adapters import Jobs
from services.billing.domain import Outcome
from services.billing.repository import Ledger

log = logging.getLogger(__name__)
STALE = Counter("crafiq_billing_stale_holds", "Holds past their time, by what generation says.", ["outcome"])
NO_ANSWER, UNDER_WAY, UNHEARD = (STALE.labels(said) for said in ("no answer", "under way", "ended unheard"))
ASK_AGAIN = timedelta(hours=1)


class Expiry:
    """Books what is left of lots whose time is over. The balance goes by the clock anyway."""

    def __init__(self, ledger: Ledger, batch: int = 200) -> None:
        self._ledger, self._batch = ledger, batch

    async def run(self) -> int:
        """Book until nothing is left to book; answers how many lots there were."""
        total = 0
        while booked := await self._ledger.expire(self._batch):
            total += booked
        return total


class StaleHolds:
    """Ends holds whose time is over as their job ended, after asking generation.

    The news of a job's end may have been lost (a dead letter, a stream that aged out): a person's credits
    must not stay set aside for that. A job that is still under way keeps its hold and is asked about
    again an hour later.
    """

    def __init__(self, ledger: Ledger, jobs: Jobs, batch: int = 100) -> None:
        self._ledger, self._jobs, self._batch = ledger, jobs, batch

    async def run(self) -> int:
        """Ask about each; answers how many there were. If generation does not answer, the next run asks."""
        asked = 0
        while stale := await self._ledger.stale(self._batch):
            for generation in stale:
                try:
                    outcome = await self._jobs.outcome(generation)
                except Refusal as refusal:
                    NO_ANSWER.inc()
                    log.warning("generation does not say what became of its jobs: %s", refusal.reason)
                    return asked
                await self._end(generation, outcome)
                asked += 1
        return asked

    async def _end(self, generation: UUID, outcome: Outcome) -> None:
        if not outcome.ended:
            UNDER_WAY.inc()
            await self._ledger.postpone(generation, ASK_AGAIN)
        elif await self._ledger.settle(generation, outcome.price):
            UNHEARD.inc()
            log.info("generations/%s ended unheard: %d credits captured", generation, outcome.price)
