"""What a vendor called Output: looked at, stored, and only then charged."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from chassis.errors import Refusal
from services.generation.adapters.assets import Assets
from services.generation.adapters.pictures import Pictures
from services.generation.domain import FailureReason, Job, Rules
from services.generation.jobs.ending import committing
from services.generation.repository import Claim, Jobs

LOG = logging.getLogger("crafiq.generation.delivery")


class Delivery:
    """Brings Outputs into the library, one after the other; each is the person's as soon as it is stored."""

    def __init__(self, jobs: Jobs, assets: Assets, pictures: Pictures, rules: Rules) -> None:
        self._jobs, self._assets, self._pictures, self._rules = jobs, assets, pictures, rules

    async def deliver(self, claim: Claim, media: Sequence[bytes]) -> None:
        """Store what is what it claims to be; the job ends with it. Raises JobGone."""
        # More than was ordered is nobody's: it is not stored and not charged.
        good = [content for content in media[: claim.job.count] if await self._is_wanted(claim.job, content)]
        reason = FailureReason.OUTPUT_INVALID
        try:
            for index, content in enumerate(good):
                if await self._wanted_no_more(claim.job):
                    break
                asset = await self._assets.store(claim.job, index, content, wanted_type(claim.job))
                if await committing(partial(self._keep, claim, index, asset, len(good))):
                    return
        except Refusal as refusal:
            LOG.warning("an Output of generation %s was not stored: %s", claim.job.id, refusal.reason)
            reason = FailureReason.STORAGE_UNAVAILABLE
        async with self._jobs.held(claim.job.account, claim.job.id, claim.attempt) as held:
            await held.record((await held.tried()).settled(reason, self._jobs.now()))

    async def _keep(self, claim: Claim, index: int, asset: str, of: int) -> bool:
        """Write it down; answers whether it was the last."""
        async with self._jobs.held(claim.job.account, claim.job.id, claim.attempt) as held:
            if len(held.job.outputs) == index:  # else a commit was repeated whose answer was lost
                name = await held.named(asset)
                await held.record((await held.tried()).kept(name, of, self._rules, self._jobs.now()))
            return held.job.ended

    async def _wanted_no_more(self, job: Job) -> bool:
        """Whether its owner cancelled it: then what is not stored yet is thrown away."""
        now = await self._jobs.find(job.account, job.id)
        return now is None or now.cancel_time is not None

    async def _is_wanted(self, job: Job, content: bytes) -> bool:
        return await self._pictures.type_of(content) == wanted_type(job)


def wanted_type(job: Job) -> str:
    """The content type that was ordered; a model that offers no choice makes PNG."""
    return f"image/{job.parameters.get('output_format', 'png')}"
