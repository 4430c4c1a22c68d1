"""Ending a generation early, deleting one that has ended, and saying to billing that one has ended."""

from __future__ import annotations

from crafiq.generation.v1 import generation_pb2

from chassis.rpc import Call
from services.generation.domain import generation_id
from services.generation.handler import rendering
from services.generation.handler.desk import At


class Ending(At):
    """A person's own; another's is not there."""

    async def CancelGeneration(
        self, request: generation_pb2.CancelGenerationRequest, call: Call
    ) -> generation_pb2.Generation:
        """The generation as it is once it was told to end."""
        generation = generation_id(request.name)
        await self._desk.jobs.cancel(call.account, generation)
        return rendering.generation(await self._desk.jobs.get(call.account, generation))

    async def DeleteGeneration(
        self, request: generation_pb2.DeleteGenerationRequest, call: Call
    ) -> generation_pb2.DeleteGenerationResponse:
        """What is gone, and what is not."""
        removed = await self._desk.jobs.delete(call.account, generation_id(request.name))
        return generation_pb2.DeleteGenerationResponse(receipt=rendering.receipt(removed))

    async def GetOutcome(
        self, request: generation_pb2.GetOutcomeRequest, _call: Call
    ) -> generation_pb2.Outcome:
        """Whether a job has ended, and at which price; nothing else about it."""
        generation = generation_id(request.generation)
        return rendering.outcome(generation, await self._desk.jobs.price(generation))
