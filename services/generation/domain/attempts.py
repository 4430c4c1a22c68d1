"""One try at a vendor, and the record of what left for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from promises.inventory import (
    ACCOUNT,
    DELETE,
    Basis,
    Category,
    Declaration,
    Purpose,
    plain,
    subject,
)
from services.generation.domain.jobs import DEED, TIME, Job, Row, naming
from services.generation.domain.states import OPEN_ATTEMPTS, AttemptState, Outcome
from services.generation.domain.vendors import (
    ContentRefused,
    Delivered,
    NotAccepted,
    Order,
    Result,
    Route,
    Unanswered,
)

# The person's right to know who received what (GDPR Art. 15(1)(c)); ours to prove it (Art. 30).
SENDING = Declaration(Category.ACTIVITY, Purpose.RIGHTS, Basis.LEGAL_OBLIGATION, ACCOUNT, DELETE)


class Attempt(Row, table=True):
    """One claim of one job by one worker, committed before any I/O.

    `claimed_until` is the lease: the worker renews it while it lives.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        Index(
            "ix_attempts_open",
            "claimed_until",
            postgresql_where=text("state IN ('CLAIMED', 'SENT', 'ANSWERED')"),
        ),
    )

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE)
    generation: UUID = plain("a random name", foreign_key="jobs.id", ondelete="CASCADE", index=True)
    number: int = plain("a number")
    state: AttemptState = plain("one of a fixed set", Text)
    claimed_until: datetime = plain("when the worker's claim ends", TIME)
    cause: str = plain("a constant: what went wrong", Text, default="")
    reference: str = plain("the vendor's own id of the request", Text, default="")
    create_time: datetime = DEED.column(TIME)
    end_time: datetime | None = DEED.column(TIME, default=None)

    @classmethod
    def begin(cls, attempt: UUID, job: Job, lease: timedelta, now: datetime) -> Attempt:
        """The claim of a worker."""
        return cls(
            id=attempt,
            generation=job.id,
            account=job.account,
            number=job.attempts,
            state=AttemptState.CLAIMED,
            claimed_until=now + lease,
            create_time=now,
        )

    @property
    def open(self) -> bool:
        """Whether its worker may still go on."""
        return AttemptState(self.state) in OPEN_ATTEMPTS

    @property
    def sent(self) -> bool:
        """Whether anything can have left."""
        return AttemptState(self.state) is not AttemptState.CLAIMED

    def answered(self, claimed_until: datetime) -> None:
        """Its worker has the answer, and time until `claimed_until` to store it; even if it was given up."""
        self.state, self.claimed_until = AttemptState.ANSWERED, claimed_until
        self.cause, self.end_time = "", None

    def end(self, state: AttemptState, now: datetime, cause: str = "", reference: str = "") -> None:
        """Close it; `cause` is a constant, `reference` the vendor's own id of the request."""
        self.state, self.end_time = state, now
        self.cause, self.reference = cause, reference or self.reference


class Egress(Row, table=True):
    """What left for a vendor: committed before it leaves, and kept as long as the person's account."""

    __tablename__ = "egress"
    __table_args__ = (
        Index("ix_egress_generation", "account", "generation", "sent_time", "id"),
        naming("egress", "assets"),
    )

    id: UUID = plain("the id of the attempt", primary_key=True)
    account: UUID = subject(DELETE, index=False)
    generation: UUID = plain("a random name; the generation may be gone before its record is")
    vendor: str = SENDING.column(Text)
    model: str = SENDING.column(Text)
    region: str = SENDING.column(Text)
    fields_sent: list[str] = SENDING.column(JSONB)
    assets: list[str] = SENDING.column(JSONB)
    size_bytes: int = SENDING.column(BigInteger)
    outcome: Outcome = plain("one of a fixed set", Text)
    sent_time: datetime = SENDING.column(TIME)
    expire_time: datetime | None = plain("when the vendor's copy ends by its own clock", TIME, default=None)
    purge_time: datetime | None = plain("when the vendor said that its copy is gone", TIME, default=None)
    sandbox: bool = plain("whether it went to the local stand-in")

    @classmethod
    def of(cls, attempt: Attempt, order: Order, route: Route, now: datetime) -> Egress:
        """What is about to leave for the vendor of `route`, and until when its copy lives at the latest."""
        return cls(
            id=attempt.id,
            account=attempt.account,
            generation=attempt.generation,
            vendor=route.name,
            model=order.model,
            region=route.card.region,
            fields_sent=list(route.vendor.fields(order)),
            assets=[one.asset for one in order.inputs],
            size_bytes=order.size_bytes,
            outcome=Outcome.SENT,
            sent_time=now,
            expire_time=now + timedelta(days=route.card.retention_days),
            sandbox=route.sandbox,
        )

    def heard(self, result: Result) -> None:
        """Write down what came of it."""
        match result:
            case Delivered() | ContentRefused():
                self.outcome = Outcome.ANSWERED
            case NotAccepted(arrived=arrived):
                self.outcome = Outcome.NOT_ACCEPTED
                if not arrived:
                    self.expire_time = None  # there was no connection: the vendor has no copy
            case Unanswered():
                self.outcome = Outcome.UNKNOWN
