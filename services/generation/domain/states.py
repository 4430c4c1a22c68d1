"""The states of a job, what may follow what, and what people read about it."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. UNKNOWN: a vendor was asked, and what became of it is not known."""

    RESERVED = "RESERVED"
    SUBMITTING = "SUBMITTING"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return not NEXT[self]

    @property
    def outside(self) -> str:
        """The state that the API shows (`crafiq.generation.v1.State`)."""
        return OUTSIDE.get(self, self.value)

    @classmethod
    def shown_as(cls, outside: str) -> list[JobState]:
        """The states that the API shows as `outside`."""
        return [state for state in cls if state.outside == outside]


_END = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

# RESERVED comes again when a vendor provably did not accept: then, and only then, the job is asked for
# again. UNKNOWN goes on when its answer arrives after all.
NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.RESERVED: frozenset({JobState.SUBMITTING, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUBMITTING: _END | {JobState.RESERVED, JobState.ACCEPTED, JobState.RUNNING, JobState.UNKNOWN},
    JobState.ACCEPTED: _END | {JobState.RUNNING, JobState.UNKNOWN},
    JobState.RUNNING: _END | {JobState.RUNNING, JobState.UNKNOWN},
    JobState.UNKNOWN: _END | {JobState.RESERVED, JobState.RUNNING},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

OUTSIDE = {
    JobState.RESERVED: "QUEUED",
    JobState.SUBMITTING: "RUNNING",
    JobState.ACCEPTED: "RUNNING",
    JobState.UNKNOWN: "RUNNING",
}

# A vendor is or may be at work: these count against a person's share of the workers.
UNDER_WAY = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.RUNNING, JobState.UNKNOWN)


class FailureReason(StrEnum):
    """Why nothing was delivered; `sentence` is what the person reads."""

    CONTENT_REFUSED = "CONTENT_REFUSED"
    INPUT_UNAVAILABLE = "INPUT_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    ORDER_REFUSED = "ORDER_REFUSED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    VENDOR_UNAVAILABLE = "VENDOR_UNAVAILABLE"

    @property
    def sentence(self) -> str:
        """What happened, what it cost, what to do."""
        return f"{_SENTENCES[self]} Nothing was charged."


_SENTENCES = {
    FailureReason.CONTENT_REFUSED: "The vendor refuses this content: change the prompt or the Input.",
    FailureReason.INPUT_UNAVAILABLE: "An Input can't be read any more: choose another and order again.",
    FailureReason.INTERNAL: "Something went wrong on our side: order again later.",
    FailureReason.ORDER_REFUSED: "The vendor does not take this order as it is: change its parameters.",
    FailureReason.OUTCOME_UNKNOWN: "The vendor never said what became of it: order again.",
    FailureReason.OUTPUT_INVALID: "What the vendor sent is not what was ordered: order again.",
    FailureReason.STORAGE_UNAVAILABLE: "The Output could not be stored: order again later.",
    FailureReason.VENDOR_UNAVAILABLE: "The vendor can't take orders right now: order again later.",
}


class AttemptState(StrEnum):
    """One try at a vendor, as far as its worker committed it."""

    CLAIMED = "CLAIMED"
    """Nothing has left yet; this is provable, for the next state commits before anything does."""
    SENT = "SENT"
    ANSWERED = "ANSWERED"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    UNKNOWN = "UNKNOWN"
    ABANDONED = "ABANDONED"
    DONE = "DONE"


OPEN_ATTEMPTS = (AttemptState.CLAIMED, AttemptState.SENT, AttemptState.ANSWERED)


class Outcome(StrEnum):
    """What came of a sending, as the person reads it in the egress record."""

    SENT = "SENT"
    ANSWERED = "ANSWERED"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    UNKNOWN = "UNKNOWN"
