"""What is said of erasures without being asked: who waits too long, and whether somebody scrubs."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Gauge

from chassis.clock import Clock
from services.privacy.repository import Erasures

LOG = logging.getLogger("crafiq.erasures")
LATE = Gauge("crafiq_erasures_overdue", "Erasures without a receipt a minute after the deletion.")
UNSCRUBBED = Gauge(
    "crafiq_erasures_unscrubbed", "Erasures whose receipt is a day old and that no clean scrub followed."
)
SCRUBBED = Gauge(
    "crafiq_scrub_clean_timestamp_seconds",
    "When the last scrub began that found nothing, or an hour earlier if it spared something; before the"
    " first, since when there is something to scrub.",
)
REMAINS = Gauge("crafiq_scrub_hits", "Values that scrubs and canaries of the last day found.")
EVERY = 15  # seconds


class Watch:
    """Counts from the database, in every process: a restart knows it, and none shows what was true once."""

    def __init__(self, erasures: Erasures, clock: Clock) -> None:
        self._erasures, self._clock = erasures, clock

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:
                LOG.warning("erasures can't be counted at the moment: %s", type(error).__name__)
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Say how things are now."""
        found = await self._erasures.standing(self._clock.now())
        LATE.set(found["overdue"])
        UNSCRUBBED.set(found["unscrubbed"])
        SCRUBBED.set(found["scrubbed"].timestamp())
        REMAINS.set(found["hits"])
