"""Watching a generation: every state, in order, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from time import monotonic
from uuid import UUID

from crafiq.generation.v1 import generation_pb2
from google.api import httpbody_pb2

from chassis.rpc import Call
from services.generation.domain import (
    CredentialEnded,
    Job,
    LastEventIdUnreadable,
    StateNumberUnknown,
    StreamsTooMany,
    Transition,
    generation_id,
)
from services.generation.handler import rendering
from services.generation.handler.desk import At, Desk

HEARTBEAT_SECONDS = 10.0
# How long a revoked session may go on watching; the promise is five seconds.
CREDENTIAL_SECONDS = 1.0


class Watching(At):
    """Streams, a few a person."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._open: dict[UUID, int] = {}

    async def WatchGeneration(
        self, request: generation_pb2.WatchGenerationRequest, call: Call
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        """The states after `Last-Event-ID`, as they come, until the job or the credential ends."""
        job = await self._desk.jobs.get(call.account, generation_id(request.name))
        after = last_event_id(request, call.metadata, job)
        began = False
        with self._counted(call.account):
            try:
                async with aclosing(self._states(job, after, call)) as states:
                    async for at, step in states:
                        yield _event(rendering.state_event(at, step) if step else rendering.HEARTBEAT)
                        began = True
            except CredentialEnded:
                yield _event(rendering.REAUTH)
            except Exception as error:
                if began:  # no status can be sent any more: it is said in band, and then logged as ever
                    yield _event(rendering.error_event(error))
                raise

    async def StreamGeneration(
        self, request: generation_pb2.StreamGenerationRequest, call: Call
    ) -> AsyncIterator[generation_pb2.Generation]:
        """The states after `after_seq` as messages; heartbeats are the latest state once more."""
        job = await self._desk.jobs.get(call.account, generation_id(request.name))
        if request.after_seq > job.seq:
            raise StateNumberUnknown(violations=[("afterSeq", "not the number of one of its states")])
        with self._counted(call.account):
            async with aclosing(self._states(job, request.after_seq, call)) as states:
                async for at, step in states:
                    yield rendering.generation(at, step)

    async def _states(
        self, job: Job, after: int, call: Call
    ) -> AsyncGenerator[tuple[Job, Transition | None], None]:
        """The states with the job as it is; None for a heartbeat. Raises CredentialEnded."""
        if after == job.seq:
            yield job, None  # nothing to say yet: let the client know that it is connected
        with self._desk.jobs.changes.of(job.id) as changed:
            while not (job.ended and after >= job.seq):
                async for _ in self._quiet(changed, call):
                    yield job, None
                if not call.still_signed_in():
                    raise CredentialEnded
                changed.clear()
                steps = await self._desk.jobs.steps(job.id, after)
                # Read after its states, so that none of them is newer than the job.
                current = await self._desk.jobs.find(call.account, job.id)
                if current is None:
                    return  # deleted by its owner, or its owner is gone
                job = current
                for step in steps:
                    yield job, step
                    after = step.seq

    async def _quiet(self, changed: asyncio.Event, call: Call) -> AsyncGenerator[None, None]:
        """Heartbeats until the job changes or the credential ends."""
        heartbeat = monotonic() + HEARTBEAT_SECONDS
        while not changed.is_set() and call.still_signed_in():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(CREDENTIAL_SECONDS, max(0.0, heartbeat - monotonic()))):
                    await changed.wait()
            if monotonic() >= heartbeat:
                yield
                heartbeat = monotonic() + HEARTBEAT_SECONDS

    @contextmanager
    def _counted(self, account: UUID) -> Iterator[None]:
        if self._open.get(account, 0) >= self._desk.streams:
            raise StreamsTooMany(limit=self._desk.streams)
        self._open[account] = self._open.get(account, 0) + 1
        try:
            yield
        finally:
            self._open[account] -= 1
            if not self._open[account]:
                del self._open[account]


def _event(data: bytes) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/event-stream", data=data)


def last_event_id(
    request: generation_pb2.WatchGenerationRequest, metadata: Mapping[str, str], job: Job
) -> int:
    """The number of the last state that the client has; 0 for none. Raises LastEventIdUnreadable."""
    text = metadata.get("last-event-id", "") or request.last_event_id
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= job.seq):
        raise LastEventIdUnreadable(violations=[("lastEventId", "not the number of one of its states")])
    return int(text)
