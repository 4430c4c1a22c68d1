"""Reading generations, and who received what for them."""

from __future__ import annotations

from typing import cast

from crafiq.generation.v1 import generation_pb2

from chassis import pages
from chassis.rpc import Call
from services.generation.domain import GenerationNotFound, JobState, generation_id
from services.generation.handler import rendering
from services.generation.handler.desk import At
from services.generation.repository import NEWEST, OLDEST, Place


class Reading(At):
    """A person's own; another's is not there."""

    async def GetGeneration(
        self, request: generation_pb2.GetGenerationRequest, call: Call
    ) -> generation_pb2.Generation:
        """One generation as it is now."""
        return rendering.generation(await self._desk.jobs.get(call.account, generation_id(request.name)))

    async def ListGenerations(
        self, request: generation_pb2.ListGenerationsRequest, call: Call
    ) -> generation_pb2.ListGenerationsResponse:
        """A page of generations, newest first; those in one state, or all."""
        most = pages.size(request.page_size)
        shown = generation_pb2.State.Name(request.state) if request.state else ""
        states = JobState.shown_as(shown) if shown else list(JobState)
        name = f"generations {shown}"
        before = self._place(name, call, request.page_token) or NEWEST
        jobs = await self._desk.jobs.page(call.account, states, before, most + 1)
        token = ""
        if len(jobs) > most:
            last = jobs[most - 1]
            token = self._desk.pages.encode(name, call.account, (last.create_time, last.id))
        return generation_pb2.ListGenerationsResponse(
            generations=[rendering.generation(job) for job in jobs[:most]], next_page_token=token
        )

    async def ListEgress(
        self, request: generation_pb2.ListEgressRequest, call: Call
    ) -> generation_pb2.ListEgressResponse:
        """What left for vendors, oldest first; it outlives the generation that it was sent for."""
        generation = generation_id(request.name)
        most = pages.size(request.page_size)
        name = f"egress of {generation}"
        after = self._place(name, call, request.page_token) or OLDEST
        rows = await self._desk.jobs.egress(call.account, generation, after, most + 1)
        if not rows and await self._desk.jobs.find(call.account, generation) is None:
            raise GenerationNotFound(generation=request.name)
        token = ""
        if len(rows) > most:
            last = rows[most - 1]
            token = self._desk.pages.encode(name, call.account, (last.sent_time, last.id))
        return generation_pb2.ListEgressResponse(
            egress=[rendering.egress(row) for row in rows[:most]], next_page_token=token
        )

    def _place(self, name: str, call: Call, token: str) -> Place | None:
        """Where a page begins; raises PageTokenInvalid."""
        return cast(Place | None, self._desk.pages.decode(name, call.account, token))
