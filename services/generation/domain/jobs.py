"""A job: what was ordered, what became of it, and what may happen next.

Rows with their rules. A method that changes the state answers the `Transition` that has to be
written with it: a state without its number and its place in the stream does not exist.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Date, DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from promises.inventory import (
    ACCOUNT,
    DELETE,
    Base,
    Basis,
    Category,
    Declaration,
    Purpose,
    inventory,
    plain,
    subject,
)
from promises.tables import standard
from services.generation.domain.catalogue import Task
from services.generation.domain.orders import Quote
from services.generation.domain.refusals import TransitionForbidden
from services.generation.domain.states import NEXT, FailureReason, JobState


class Row(Base, registry=inventory("generation")):
    """What generation keeps."""


standard(Row.metadata)

TIME = DateTime(timezone=True)
WORDS = Declaration(Category.CONTENT, Purpose.GENERATION, Basis.CONTRACT, ACCOUNT, DELETE)
MEDIA = Declaration(Category.MEDIA, Purpose.GENERATION, Basis.CONTRACT, ACCOUNT, DELETE)
DEED = Declaration(Category.ACTIVITY, Purpose.GENERATION, Basis.CONTRACT, ACCOUNT, DELETE)

GONE = ""
"""Stands for the name of an asset that was deleted, so that what was counted stays counted."""
WAITING = "Waiting for its turn; the credits are held."
RECALLED = (
    "Being cancelled: the vendor can't be called back; what it still sends is thrown away, not charged."
)


def naming(table: str, column: str) -> Index:
    """The index by which rows are found that name an asset in a list."""
    return Index(
        f"ix_{table}_{column}",
        column,
        postgresql_using="gin",
        postgresql_ops={column: "jsonb_path_ops"},
        postgresql_where=text(f"{column} <> '[]'"),
    )


class Transition(Row, table=True):
    """One state of one job: what a stream shows under its number. `outputs`: how many there were by then."""

    __tablename__ = "transitions"

    generation: UUID = plain("a random name", primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    seq: int = plain("the number of the state", primary_key=True)
    account: UUID = subject(DELETE)
    state: JobState = plain("one of a fixed set", Text)
    note: str = plain("one of our sentences; nobody's words are in it", Text)
    outputs: int = plain("a number")
    create_time: datetime = DEED.column(TIME)


class Ending(Row, table=True):
    """That a job has ended, and at which price, for a hold that nobody ended; stays when the job goes."""

    __tablename__ = "outcomes"

    id: UUID = plain("the random name of a job; whose it was is nowhere but in the job", primary_key=True)
    charged_credits: int = plain("a number: the price of what was delivered")
    day: date = plain("when it ended, to the day", Date, index=True)

    @classmethod
    def of(cls, job: Job, now: datetime) -> Ending:
        """What stays of a job that ends now."""
        return cls(id=job.id, charged_credits=job.charged_credits, day=now.date())


class Job(Row, table=True):
    """One order of media and its way through the states.

    `seq` is the number of its latest state, `attempt` the latest try at a vendor and `attempts` how
    many there were. `deadline`: when an unknown fate is given up. `cancel_time`: when its owner wanted it no
    more, if a vendor was at it then. `trace`: of the request that ordered it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_account", "account", text("create_time DESC"), text("id DESC")),
        Index("ix_jobs_waiting", "create_time", postgresql_where=text("state = 'RESERVED'")),
        Index(
            "ix_jobs_under_way",
            "account",
            postgresql_where=text("state IN ('SUBMITTING', 'ACCEPTED', 'RUNNING', 'UNKNOWN')"),
        ),
        naming("jobs", "inputs"),
    )

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE, index=False)
    state: JobState = plain("one of a fixed set", Text)
    seq: int = plain("the number of the state")
    note: str = plain("one of our sentences; nobody's words are in it", Text)
    task: Task = DEED.column(Text)
    model: str = DEED.column(Text)
    vendor: str = DEED.column(Text)
    prompt: str = WORDS.column(Text)
    inputs: list[str] = MEDIA.column(JSONB)
    parameters: dict[str, str] = DEED.column(JSONB)
    count: int = DEED.column()
    unit_credits: int = plain("a price of the catalogue")
    outputs: list[str] = MEDIA.column(JSONB)
    charged_credits: int = DEED.column()
    failure_reason: FailureReason | None = plain("one of a fixed set", Text, default=None)
    attempt: UUID | None = plain("a random name", default=None)
    attempts: int = plain("a number")
    not_before: datetime = plain("when the queue may look at it again", TIME)
    deadline: datetime | None = plain("when the system gives it up", TIME, default=None)
    cancel_time: datetime | None = DEED.column(TIME, default=None)
    trace: str = plain("a random id that lives as long as the traces do", Text, default="")
    create_time: datetime = DEED.column(TIME)
    end_time: datetime | None = DEED.column(TIME, default=None)

    @property
    def quoted_credits(self) -> int:
        """The most it can cost."""
        return self.unit_credits * self.count

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return JobState(self.state).ended

    @property
    def lacks_input(self) -> bool:
        """Whether an Input was deleted since it was ordered."""
        return GONE in self.inputs

    def forget(self, asset: str) -> None:
        """An asset was deleted: a blank stands where it was named."""
        self.inputs = [GONE if each == asset else each for each in self.inputs]
        self.outputs = [GONE if each == asset else each for each in self.outputs]

    @classmethod
    def reserve(cls, generation: UUID, account: UUID, order: Quote, now: datetime) -> tuple[Job, Transition]:
        """A job whose credits are held, and its first state."""
        wish = order.wish
        job = cls(
            id=generation,
            account=account,
            state=JobState.RESERVED,
            seq=0,
            note="",
            task=wish.task,
            model=order.name,
            vendor=order.model.vendor,
            prompt=wish.prompt,
            inputs=list(wish.inputs),
            parameters=dict(order.parameters),
            count=wish.count,
            unit_credits=order.unit_credits,
            outputs=[],
            charged_credits=0,
            attempts=0,
            not_before=now,
            create_time=now,
        )
        return job, job._numbered(JobState.RESERVED, WAITING, now)

    def submit(self, attempt: UUID, now: datetime) -> Transition:
        """A worker takes it. From here on a vendor may hear of it."""
        step = self._go(JobState.SUBMITTING, "Being sent to the vendor.", now)
        self.attempt, self.attempts = attempt, self.attempts + 1
        return step

    def requeue(self, wait: timedelta, note: str, now: datetime) -> Transition:
        """Back into the queue: nothing was accepted anywhere, and this is provable."""
        step = self._go(JobState.RESERVED, note, now)
        self.not_before = now + wait
        return step

    def answered(self, now: datetime) -> Transition:
        """The vendor's answer is here, whole."""
        note = "The vendor has answered; what it made is being checked and stored."
        return self._go(JobState.RUNNING, note, now)

    def keep(self, asset: str, of: int, now: datetime) -> Transition:
        """One more Output is stored, or GONE again. The last of the `of` that are to be kept ends it."""
        self.outputs = [*self.outputs, asset]
        if len(self.outputs) == of or self.cancel_time is not None:
            return self._succeed(now)
        return self._go(JobState.RUNNING, f"{len(self.outputs)} of {of} Outputs are stored.", now)

    def lose(self, deadline: datetime, now: datetime) -> Transition:
        """The vendor was asked and did not answer. Until `deadline` nobody else is."""
        note = "The vendor has not answered. If nothing arrives, nothing is charged."
        step = self._go(JobState.UNKNOWN, note, now)
        self.deadline = deadline
        return step

    def settle(self, reason: FailureReason, now: datetime) -> Transition:
        """Nothing more will come: delivered if something is stored, failed for `reason` if not."""
        wanted_no_more = self.cancel_time is not None
        return self.cancel(now) if self.outputs or wanted_no_more else self.fail(reason, now)

    def recall(self, now: datetime) -> Transition | None:
        """Its owner wants it no more, and a vendor is at it. None if that is known already."""
        if self.cancel_time is not None:
            return None
        self.cancel_time = now
        return self._numbered(JobState(self.state), RECALLED, now)

    def cancel(self, now: datetime) -> Transition:
        """Nobody is at it: what is stored is delivered, and nothing else will be."""
        if self.outputs:
            return self._succeed(now)
        return self._go(JobState.CANCELLED, "Cancelled. Nothing was charged.", now)

    def fail(self, reason: FailureReason, now: datetime) -> Transition:
        """Nothing is delivered and nothing charged."""
        step = self._go(JobState.FAILED, reason.sentence, now)
        self.failure_reason = reason
        return step

    def _succeed(self, now: datetime) -> Transition:
        note = "Delivered."
        if len(self.outputs) < self.count:
            note = f"{len(self.outputs)} of {self.count} Outputs were delivered; only those are charged."
        step = self._go(JobState.SUCCEEDED, note, now)
        self.charged_credits = self.unit_credits * len(self.outputs)
        return step

    def _go(self, target: JobState, note: str, now: datetime) -> Transition:
        if target not in NEXT[JobState(self.state)]:
            raise TransitionForbidden(state=JobState(self.state).outside, target=target.outside)
        if target.ended:
            self.end_time = now
        return self._numbered(target, note, now)

    def _numbered(self, state: JobState, note: str, now: datetime) -> Transition:
        self.state, self.note, self.seq = state, note, self.seq + 1
        return Transition(
            generation=self.id,
            account=self.account,
            seq=self.seq,
            state=state,
            note=note,
            outputs=len(self.outputs),
            create_time=now,
        )
