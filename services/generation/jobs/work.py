"""One job, carried out: fetch the Inputs, write down what will leave, ask the vendor once, keep what came.

Each step commits before the next one does anything that can't be undone, so that whoever finds the job
after a crash knows what may have happened and what can't have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from prometheus_client import Counter

from chassis.errors import Refusal, Unavailable
from chassis.telemetry import span
from services.generation.adapters.assets import Assets
from services.generation.domain import (
    Delivered,
    FailureReason,
    JobState,
    NotAccepted,
    Order,
    Result,
    Route,
    Rules,
    Task,
    Unanswered,
)
from services.generation.jobs.delivery import Delivery
from services.generation.jobs.ending import committing
from services.generation.repository import Claim, JobGone, Jobs

LOG = logging.getLogger("crafiq.generation.work")
RESULTS = Counter("crafiq_vendor_results", "How calls to vendors ended.", ["vendor", "result"])


class Work:
    """Carries out claimed jobs. `routes`: by the vendor's id, those that are configured."""

    def __init__(
        self, jobs: Jobs, routes: Mapping[str, Route], assets: Assets, delivery: Delivery, rules: Rules
    ) -> None:
        self._jobs, self._routes, self._assets = jobs, routes, assets
        self._delivery, self._rules = delivery, rules

    async def carry_out(self, claim: Claim) -> None:
        """Bring it to an end, or leave it so that it comes to one. Raises nothing but cancellation."""
        try:
            with span("generation.carry_out", claim.job.trace, vendor=claim.job.vendor):
                await self._carry_out(claim)
        except JobGone:
            LOG.info("generation %s was ended by somebody else", claim.job.id)
        except asyncio.CancelledError:
            await asyncio.shield(self._leave(claim))
            raise
        except Exception:
            LOG.exception("generation %s was not carried out", claim.job.id)
            await self._leave(claim)

    async def _carry_out(self, claim: Claim) -> None:
        result = await self._ask(claim)
        RESULTS.labels(claim.job.vendor, type(result).__name__).inc()
        # Also if the job is gone by now, with whoever ordered it: the vendor's copy still has to end.
        await committing(partial(self._jobs.copies.heard, claim.attempt, result))
        goes_on = await committing(partial(self._conclude, claim, result))
        if goes_on and isinstance(result, Delivered):
            await self._delivery.deliver(claim, result.media)

    async def _ask(self, claim: Claim) -> Result:
        job = claim.job
        route = self._routes.get(job.vendor)
        if route is None:
            return NotAccepted("NO_ROUTE", arrived=False)
        try:
            inputs = [await self._assets.fetch(job.account, name) for name in job.inputs]
        except Refusal as refusal:
            passing = isinstance(refusal, Unavailable)
            reason = FailureReason.INPUT_UNAVAILABLE
            return NotAccepted(refusal.reason, again=passing, reason=reason, arrived=False)
        order = Order(job.model, Task(job.task), job.prompt, job.count, job.parameters, tuple(inputs))
        async with self._jobs.held(job.account, job.id, claim.attempt) as held:
            await held.depart(order, route, self._jobs.now())
        return await route.vendor.generate(order)

    async def _conclude(self, claim: Claim, result: Result) -> bool:
        """Write down how the try ended; answers whether the job goes on."""
        async with self._jobs.held(claim.job.account, claim.job.id, claim.attempt) as held:
            if isinstance(result, Unanswered) and held.job.state == JobState.UNKNOWN:
                raise JobGone  # somebody thought this worker dead and wrote down the same
            await held.record((await held.tried()).conclude(result, self._rules, self._jobs.now()))
            return not held.job.ended

    async def _leave(self, claim: Claim) -> None:
        try:
            async with self._jobs.held(claim.job.account, claim.job.id, claim.attempt) as held:
                if held.attempt is not None and held.attempt.open:
                    await held.record((await held.tried()).abandon(self._rules, self._jobs.now()))
        except JobGone:
            pass
        except Exception as error:
            LOG.warning("generation %s is left to its lease", claim.job.id, exc_info=error)
