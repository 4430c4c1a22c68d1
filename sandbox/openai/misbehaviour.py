"""What the vendor does wrong when a test wants it to."""

from __future__ import annotations

import asyncio
import hashlib

from sandbox.faults import Fault, FaultPlan
from sandbox.openai import errors
from sandbox.openai.journal import Received
from sandbox.openai.parameters import Wanted

# Answered before any work: nothing is charged.
REFUSALS = ("429", "500", "503", "insufficient_quota", "refusal")
# The work is done and charged.
SPOILED = ("garbage", "truncated")
KINDS = frozenset({*REFUSALS, *SPOILED, "delay", "accepted_answer_lost"})


class Misbehaviour:
    """Applies the faults that are switched on; `match` is looked for in the prompt."""

    def __init__(self) -> None:
        self.plan = FaultPlan(KINDS)

    def before_acceptance(self, wanted: Wanted, received: Received) -> None:
        """Refuses as the first fault of that sort says. Raises ApiError."""
        fault = self._take(wanted, received, *REFUSALS)
        if fault is None:
            return
        if fault.kind == "429":
            raise errors.rate_limited(wanted.model.id, fault.seconds)
        if fault.kind == "500":
            raise errors.server_error(received.request_id)
        if fault.kind == "503":
            raise errors.overloaded()
        if fault.kind == "insufficient_quota":
            raise errors.insufficient_quota()
        raise errors.moderation_blocked(received.request_id)

    async def delay(self, wanted: Wanted, received: Received) -> None:
        """The work takes longer; it was accepted before."""
        fault = self._take(wanted, received, "delay")
        if fault is not None:
            await asyncio.sleep(fault.seconds)

    def spoil(self, wanted: Wanted, received: Received, encoded: list[bytes]) -> list[bytes]:
        """A 200 whose pictures are none: noise, or cut off in the middle."""
        fault = self._take(wanted, received, *SPOILED)
        if fault is None:
            return encoded
        if fault.kind == "truncated":
            return [content[: len(content) // 2] for content in encoded]
        return [hashlib.shake_256(wanted.prompt.encode()).digest(2000) for _ in encoded]

    def loses_the_answer(self, wanted: Wanted, received: Received) -> bool:
        """Whether the connection breaks instead of the answer."""
        return self._take(wanted, received, "accepted_answer_lost") is not None

    def _take(self, wanted: Wanted, received: Received, *kinds: str) -> Fault | None:
        fault = self.plan.take(wanted.prompt, *kinds)
        if fault is not None:
            received.fault = fault.kind
        return fault
