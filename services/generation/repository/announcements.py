"""What the end of a job is called outside."""

from __future__ import annotations

from crafiq.generation.v1 import events_pb2
from google.protobuf.message import Message

from services.generation.domain import Job, JobState, account_name, generation_name


def announcement(job: Job) -> Message | None:
    """The event that says so; None if the job goes on."""
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
