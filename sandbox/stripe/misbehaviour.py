"""What the vendor does wrong when a test wants it to."""

from __future__ import annotations

import json

from sandbox.faults import Fault, FaultPlan
from sandbox.stripe import errors
from sandbox.stripe.journal import Received

# Answered before anything is done; not saved under the Idempotency-Key.
REFUSALS = ("403", "409", "429", "503")
# 500: nothing was done; accepted_500: everything was. Both are saved under the Idempotency-Key.
FAILURES = ("500", "accepted_500")
KINDS = frozenset({*REFUSALS, *FAILURES, "drop", "delay", "accepted_answer_lost", "garbage"})


class Misbehaviour:
    """Applies the faults that are switched on; `match` is looked for in `METHOD /path {parameters}`."""

    def __init__(self) -> None:
        self.plan = FaultPlan(KINDS)

    def refuse(self, received: Received) -> None:
        """Refuses as the first fault of that sort says. Raises ApiError."""
        fault = self.take(received, *REFUSALS)
        if fault is None:
            return
        if fault.kind == "403":
            raise errors.no_permission(received.method, received.path)
        if fault.kind == "409":
            raise errors.key_in_use(received.idempotency_key or "")
        raise errors.rate_limited() if fault.kind == "429" else errors.overloaded()

    def take(self, received: Received, *kinds: str) -> Fault | None:
        """The first fault of these kinds that is meant for this request; it has happened then."""
        text = f"{received.method} {received.path} {json.dumps(received.parameters)}"
        fault = self.plan.take(text, *kinds)
        if fault is not None:
            received.fault = fault.kind
        return fault
