"""Jobs whose worker died, and jobs whose fate nobody will learn any more: brought to an end."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from chassis.jobs import Job
from services.generation.domain import JobState, Rules
from services.generation.jobs.purging import VendorCopies
from services.generation.repository import JobGone, Jobs


def periodic(jobs: Jobs, rules: Rules, copies: VendorCopies) -> list[Job]:
    """What this service does when time passes."""
    return [
        Job("recovery", rules.lease / 6, Recovery(jobs, rules).run),
        Job("forget outcomes", timedelta(hours=1), jobs.forget),
        Job("vendor copies", timedelta(minutes=1), copies.sweep),
    ]


class Recovery:
    """Run every few seconds, by one process at a time; twice is harmless."""

    def __init__(self, jobs: Jobs, rules: Rules) -> None:
        self._jobs, self._rules = jobs, rules

    async def run(self) -> None:
        """Both."""
        await self.pick_up_abandoned()
        await self.end_overdue()

    async def pick_up_abandoned(self) -> None:
        """Attempts whose lease is over: their worker died, or was cut off."""
        for generation, account in await self._jobs.abandoned():
            with suppress(JobGone):
                async with self._jobs.held(account, generation) as held:
                    # Looked at again under the lock: its worker may have come back meanwhile.
                    attempt = held.attempt
                    if attempt is None or not attempt.open or attempt.claimed_until > self._jobs.now():
                        continue
                    await held.record((await held.tried()).abandon(self._rules, self._jobs.now()))

    async def end_overdue(self) -> None:
        """Fates unknown until the deadline: nothing was delivered, nothing is charged, the cost is ours."""
        for generation, account in await self._jobs.overdue():
            with suppress(JobGone):
                async with self._jobs.held(account, generation) as held:
                    deadline = held.job.deadline
                    if held.job.state != JobState.UNKNOWN or deadline is None or deadline > self._jobs.now():
                        continue
                    await held.record((await held.tried()).expire(self._jobs.now()))
