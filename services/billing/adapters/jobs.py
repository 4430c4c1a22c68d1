"""Generation, asked what became of its jobs."""

from __future__ import annotations

from uuid import UUID

import grpc
from crafiq.generation.v1 import generation_pb2, generation_pb2_grpc

from chassis.errors import NotFound
from chassis.rpc import refusal_from
from services.billing.domain import Outcome

UNDER_WAY = (generation_pb2.QUEUED, generation_pb2.RUNNING)


class Jobs:
    """What generation says of its jobs."""

    def __init__(self, generation: generation_pb2_grpc.GenerationServiceAsyncStub) -> None:
        self._generation = generation

    async def outcome(self, generation: UUID) -> Outcome:
        """What became of a job. One that is not there any more, or never was, delivered nothing.

        Raises a Refusal (Unavailable, most likely) if generation does not say.
        """
        asked = generation_pb2.GetOutcomeRequest(generation=f"generations/{generation}")
        try:
            answer = await self._generation.GetOutcome(asked, timeout=2)
        except grpc.RpcError as error:
            refusal = refusal_from(error)
            if isinstance(refusal, NotFound):
                return Outcome(ended=True)
            raise refusal from error
        return Outcome(answer.state not in UNDER_WAY, answer.credits)
