"""Ordering a generation: checked, priced, paid for, and in the queue."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from uuid import UUID

import grpc.aio
from crafiq.assets.v1 import assets_pb2
from crafiq.billing.v1 import billing_pb2
from crafiq.generation.v1 import events_pb2, generation_pb2
from google.protobuf import struct_pb2

from chassis.errors import Refusal, Unavailable
from chassis.retry import reading
from chassis.rpc import Call, refusal_from
from chassis.telemetry import traceparent
from services.generation.domain import (
    Job,
    OrderEnded,
    QueueFull,
    Quote,
    Task,
    Wish,
    account_name,
    generation_name,
    ordered_id,
    quote,
)
from services.generation.handler import rendering
from services.generation.handler.desk import At

LOG = logging.getLogger("crafiq.generation.ordering")
RELEASE_SECONDS = 3.0
QUEUE_RETRY = timedelta(seconds=30)
REFUSED = "refused"
"""What a request led to whose hold is given back: no job of its id can be committed any more."""


class Ordering(At):
    """One RPC, on which money hangs: repeated, it finds what it did the first time."""

    async def CreateGeneration(
        self, request: generation_pb2.CreateGenerationRequest, call: Call
    ) -> generation_pb2.Generation:
        """Quote, check the Inputs and hold the credits side by side, commit the job."""
        generation = ordered_id(self._desk.key, call.account, UUID(request.request_id))
        job = await self._desk.jobs.find(call.account, generation)
        if job is None:
            order = quote(self._desk.catalogue, wish(request), self._desk.jobs.now())
            await self._check_queue(call)
            await self._secure(generation, order, request, call)
            job = await self._commit(generation, order, request, call)
        else:
            await self._same_request(job, request)
        return rendering.generation(job)

    async def _commit(
        self, generation: UUID, order: Quote, request: generation_pb2.CreateGenerationRequest, call: Call
    ) -> Job:
        """Raises OrderEnded, RequestIdReused."""
        job, step = Job.reserve(generation, call.account, order, self._desk.jobs.now())
        job.trace = traceparent()
        name = generation_name(generation)
        async with self._desk.jobs.transaction(generation) as tx:
            earlier = await tx.replay(call.account, UUID(request.request_id), request, result=name)
            if earlier is None:
                await self._desk.jobs.add(tx, job, step)
                tx.emit(events_pb2.GenerationCreated(account=account_name(call.account), generation=name))
        # Two requests with one id at the same moment: the other one was first.
        if earlier == REFUSED:
            raise OrderEnded
        return job if earlier is None else await self._desk.jobs.get(call.account, generation)

    async def _check_queue(self, call: Call) -> None:
        """Raises QueueFull. Orders of the same moment may each find room; the rate limit bounds them."""
        if await self._desk.jobs.queued(call.account) >= self._desk.waiting:
            raise QueueFull(limit=self._desk.waiting, retry_after=QUEUE_RETRY)

    async def _same_request(self, job: Job, request: generation_pb2.CreateGenerationRequest) -> None:
        """Raises RequestIdReused if this id was sent with another order."""
        async with self._desk.jobs.transaction(job.id) as tx:
            await tx.replay(job.account, UUID(request.request_id), request, result=generation_name(job.id))

    async def _secure(
        self, generation: UUID, order: Quote, request: generation_pb2.CreateGenerationRequest, call: Call
    ) -> None:
        """Ask both peers at once. A hold for an order that is refused is given back.

        Unless it pays for a job that the same request ordered a moment ago: then there is no refusal.
        """
        inputs, hold = await asyncio.gather(
            self._check_inputs(order, call),
            self._place_hold(generation, order, call),
            return_exceptions=True,
        )
        if _refused(inputs) and not _refused(hold):
            if await self._is_ordered(generation, request, call):
                return
            await self._release(generation, call)
        for outcome in (inputs, hold):
            if outcome is not None:
                raise outcome

    async def _is_ordered(
        self, generation: UUID, request: generation_pb2.CreateGenerationRequest, call: Call
    ) -> bool:
        """Whether another request with this id has ordered; if not, none will. Raises RequestIdReused.

        They share a hold, so that this commits before the hold is given back.
        """
        async with self._desk.jobs.transaction(generation) as tx:
            earlier = await tx.replay(call.account, UUID(request.request_id), request, result=REFUSED)
        return earlier not in (None, REFUSED)

    async def _check_inputs(self, order: Quote, call: Call) -> None:
        if not order.wish.inputs:
            return
        request = assets_pb2.CheckInputsRequest(account=account_name(call.account), assets=order.wish.inputs)
        try:
            answer = await self._desk.assets.CheckInputs(request, timeout=call.time_remaining())
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error
        order.check_inputs([(asset.name, asset.content_type, asset.size_bytes) for asset in answer.assets])

    async def _place_hold(self, generation: UUID, order: Quote, call: Call) -> None:
        request = billing_pb2.PlaceHoldRequest(
            account=account_name(call.account), generation=generation_name(generation), credits=order.credits
        )
        try:
            hold = await self._desk.billing.PlaceHold(request, timeout=call.time_remaining())
        except grpc.aio.AioRpcError as error:
            refusal = refusal_from(error)
            if refusal.reason.startswith("HOLD_"):
                # This id ordered something before that was refused; its hold is history.
                raise OrderEnded from error
            raise refusal from error
        if hold.state != billing_pb2.HELD:
            # It paid for a generation that is deleted by now: it does not pay for another.
            raise OrderEnded

    async def _release(self, generation: UUID, call: Call) -> None:
        """Best effort: a hold that nobody hears of again expires at billing."""
        request = billing_pb2.ReleaseHoldRequest(
            account=account_name(call.account), generation=generation_name(generation)
        )

        async def release() -> None:
            await self._desk.billing.ReleaseHold(request, timeout=RELEASE_SECONDS)

        try:
            await reading(release, within=RELEASE_SECONDS)
        except (grpc.aio.AioRpcError, Refusal, TimeoutError):
            LOG.warning("the hold of generation %s was not released", generation)


def _refused(outcome: object) -> bool:
    """Whether the answer is a certain no. Without an answer the order may still be repeated."""
    return isinstance(outcome, Refusal) and not isinstance(outcome, Unavailable)


def wish(request: generation_pb2.CreateGenerationRequest) -> Wish:
    """What the request asks for."""
    return Wish(
        model=request.model,
        task=Task(generation_pb2.Task.Name(request.task)),
        prompt=request.prompt,
        inputs=tuple(request.input_assets),
        count=request.count if request.HasField("count") else 1,
        parameters={name: _word(value) for name, value in request.parameters.fields.items()},
    )


def _word(value: struct_pb2.Value) -> str | None:
    """A parameter's value; no model takes anything but words, so that the rest need not be understood."""
    return value.string_value if value.HasField("string_value") else None
