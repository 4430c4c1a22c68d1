"""A job's next state, and the event that says so when it is the last one: in one commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from crafiq.generation.v1 import events_pb2
from google.protobuf.message import Message

from chassis.retry import reading
from services.generation.domain import Job, JobState, Transition, account_name, generation_name
from services.generation.repository import Held

T = TypeVar("T")
COMMIT_SECONDS = 20.0


async def committing(change: Callable[[], Awaitable[T]]) -> T:
    """Run a change that must not be lost while the database is away for a moment; it bears repetition."""
    return await reading(change, within=COMMIT_SECONDS)


async def record(held: Held, step: Transition) -> None:
    """Write the state; announce it if the job has ended."""
    await held.record(step)
    event = announcement(held.job)
    if event is not None:
        held.tx.emit(event)


def announcement(job: Job) -> Message | None:
    """What the end of a job is called outside; None if it goes on."""
    names = {"account": account_name(job.account), "generation": generation_name(job.id)}
    match JobState(job.state):
        case JobState.SUCCEEDED:
            return events_pb2.GenerationSucceeded(**names, credits=job.charged_credits)
        case JobState.FAILED:
            return events_pb2.GenerationFailed(**names, reason=job.failure_reason or "")
        case JobState.CANCELLED:
            return events_pb2.GenerationCancelled(**names)
        case _:
            return None
