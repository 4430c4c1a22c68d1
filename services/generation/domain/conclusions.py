"""What follows from how a try at a vendor ended: the one place that decides about asking again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from services.generation.domain.attempts import Attempt, Egress
from services.generation.domain.jobs import Job, Transition
from services.generation.domain.states import AttemptState, FailureReason, JobState, Outcome
from services.generation.domain.vendors import (
    ContentRefused,
    Delivered,
    NotAccepted,
    Result,
    RetryPolicy,
    Unanswered,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How much at once, and how long.

    `slots`: jobs in hand in a process. `share`: of one person under way at a time, in all processes.
    `unknown`: how long an order whose fate is not known blocks another. `lease`: how long a claim
    lasts unless it is renewed.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    slots: int = 8
    share: int = 4
    unknown: timedelta = timedelta(minutes=15)
    lease: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Try:
    """A job in the hands of an attempt; `egress` is what left, if anything did."""

    job: Job
    attempt: Attempt
    egress: Egress | None

    def conclude(self, result: Result, rules: Rules, now: datetime) -> Transition:
        """The job's next state, given the vendor's end of the story."""
        if self.egress is not None:
            self.egress.heard(result)
        if self.job.cancel_time is not None:
            # Thrown away, whatever it is; what it cost at the vendor is ours.
            self.attempt.end(AttemptState.DONE, now, "CANCELLED", result.reference)
            return self.job.cancel(now)
        match result:
            case Delivered():
                return self._answered(result, rules, now)
            case ContentRefused():
                self.attempt.end(AttemptState.DONE, now, "CONTENT_REFUSED", result.reference)
                return self.job.fail(FailureReason.CONTENT_REFUSED, now)
            case NotAccepted():
                self.attempt.end(AttemptState.NOT_ACCEPTED, now, result.cause, result.reference)
                return self._again_or_never(result, rules, now)
            case Unanswered():
                self.attempt.end(AttemptState.UNKNOWN, now, result.cause, result.reference)
                return self.job.lose(now + rules.unknown, now)
            case _:
                assert_never(result)

    def abandon(self, rules: Rules, now: datetime) -> Transition:
        """Its worker is gone. What can have left is UNKNOWN; what provably did not is done again."""
        if self.attempt.sent:
            return self.conclude(Unanswered("WORKER_GONE"), rules, now)
        self.attempt.end(AttemptState.ABANDONED, now, "WORKER_GONE")
        if self.job.attempts >= rules.retry.tries:
            # Something about this job ends its workers: it must not end all of them.
            return self.job.fail(FailureReason.INTERNAL, now)
        return self.job.requeue(timedelta(0), "Waiting for its turn again; nothing was sent.", now)

    def kept(self, asset: str, of: int, rules: Rules, now: datetime) -> Transition:
        """One of the `of` Outputs that are to be kept is stored."""
        step = self.job.keep(asset, of, now)
        if not self.attempt.open:
            # Its worker was given up, and lives: without a lease nobody would miss it the next time.
            self.attempt.answered(now + rules.lease)
            if self.egress is not None:
                self.egress.outcome = Outcome.ANSWERED
        if self.job.ended:
            self.attempt.end(AttemptState.DONE, now)
        return step

    def settled(self, reason: FailureReason, now: datetime) -> Transition:
        """No more can be kept than what is: `reason` is why nothing is, if so."""
        self.attempt.end(AttemptState.DONE, now, reason)
        return self.job.settle(reason, now)

    def expire(self, now: datetime) -> Transition:
        """The time for an answer is over. What was stored by then is delivered."""
        assert self.job.state == JobState.UNKNOWN
        return self.job.settle(FailureReason.OUTCOME_UNKNOWN, now)

    def _answered(self, result: Delivered, rules: Rules, now: datetime) -> Transition:
        self.attempt.answered(now + rules.lease)
        self.attempt.reference = result.reference
        return self.job.answered(now)

    def _again_or_never(self, result: NotAccepted, rules: Rules, now: datetime) -> Transition:
        wait = rules.retry.delay(self.job.attempts, result)
        if wait is None:
            return self.job.fail(result.reason, now)
        note = f"The vendor could not take it; it is asked again in {max(1, round(wait.total_seconds()))} s."
        return self.job.requeue(wait, note, now)


def cancel(job: Job, attempt: Attempt | None, now: datetime) -> Transition | None:
    """What follows when its owner wants a job no more that has not ended; None if nothing does.

    As long as a vendor may be at work for it, it counts against its owner's share of the workers: else
    ordering and cancelling in turns would buy vendors' work without limit and without pay.
    """
    if attempt is not None and attempt.open:
        if attempt.sent:
            return job.recall(now)
        attempt.end(AttemptState.ABANDONED, now, "CANCELLED")
    return job.cancel(now)
