"""An erasure: from the moment its person approved it to the receipt and the supplement.

Nothing here is personal: the id is the client's random request id, and what the account's number once
stood for is gone with the first step. The number itself is dropped with the supplement.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import FailedPrecondition, NotFound
from promises.inventory import plain
from services.privacy.domain.row import Row

MOMENT = DateTime(timezone=True)
FIRST_LOOK = timedelta(seconds=1)
"""A case is looked at when its holders have answered; after this whatever they did."""
FIRST_REMINDER = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=1)
OVERDUE = timedelta(minutes=1)
"""A case without a receipt by then raises an alarm."""
OPEN_ENDS = timedelta(minutes=1)
"""How often it is looked whether what the receipt left open is done."""
IN_DOUBT = timedelta(seconds=60)
"""An approval that led to nothing is looked into after this: no transaction of identity lives as long."""
FOUND_AGAIN, MESSAGES_WAITING = "FOUND_AGAIN", "MESSAGES_WAITING"


class ErasureNotFound(NotFound):
    """No such erasure, or not for whoever does not know its secret."""

    sentence = (
        "There is no {erasure}, or this is not its secret: send the receiptSecret that you chose"
        " as the header X-Receipt-Secret."
    )


class ReceiptNotReady(FailedPrecondition):
    """It is signed when nothing is found any more."""

    sentence = "The receipt of {erasure} is not signed yet: watch GET /v1/{erasure}:watch."


class SupplementNotReady(FailedPrecondition):
    """It is signed when scrub and vendors' clocks are done."""

    sentence = (
        "The supplement of {erasure} follows when the last bytes are scrubbed and the last vendor's"
        " copy has ended; GET /v1/{erasure} says what is waited for."
    )


class CaseState(StrEnum):
    """How far a case is."""

    APPROVED = "APPROVED"
    ERASING = "ERASING"
    RECEIPT_SIGNED = "RECEIPT_SIGNED"
    CLOSED = "CLOSED"
    VOIDED = "VOIDED"


class HolderState(StrEnum):
    """Where a holder stands."""

    WAITING = "WAITING"
    ANSWERED = "ANSWERED"
    VERIFIED = "VERIFIED"


class Case(Row, table=True):
    """One erasure. `due`: when somebody looks at it next; while it is looked at, until when it is theirs.

    `revision` counts changes, for those who watch. `bus_before`: how many messages about the account were
    found on the bus when it was purged.
    """

    __tablename__ = "erasure_cases"
    __table_args__ = (
        Index("ix_erasure_cases_due", "due", postgresql_where=text("state NOT IN ('CLOSED', 'VOIDED')")),
        Index("ix_erasure_cases_account", "account", postgresql_where=text("account IS NOT NULL")),
    )

    id: UUID = plain("chosen at random by the client", primary_key=True)
    account: UUID | None = plain("a number that nothing resolves any more; dropped with the supplement")
    secret_hash: bytes = plain("SHA-256 of a random secret that only its person has", LargeBinary)
    plan_hash: str = plain("a hash of fates and grounds, the same for many people")
    state: CaseState = plain("one of a fixed set", Text)
    revision: int = plain("counts changes")
    approved_at: datetime = plain("when it was approved", MOMENT)
    deleted_at: datetime | None = plain("when the account was deleted", MOMENT)
    signed_at: datetime | None = plain("when the receipt was signed", MOMENT)
    closed_at: datetime | None = plain("when the supplement was signed", MOMENT)
    bus_before: int = plain("a number")
    due: datetime = plain("when somebody looks at it next", MOMENT)
    receipt: str | None = plain("a signed receipt without personal data")
    supplement: str | None = plain("a signed supplement without personal data")

    @property
    def name(self) -> str:
        """`erasures/{uuid}`."""
        return f"erasures/{self.id}"

    @classmethod
    def approve(cls, erasure: UUID, account: UUID, secret_hash: bytes, plan_hash: str, now: datetime) -> Self:
        """Its person wants it; identity has not deleted the account yet."""
        return cls(
            id=erasure, account=account, secret_hash=secret_hash, plan_hash=plan_hash,
            state=CaseState.APPROVED, revision=1, approved_at=now, deleted_at=None, signed_at=None,
            closed_at=None, bus_before=0, due=now + IN_DOUBT, receipt=None, supplement=None,
        )  # fmt: skip

    def again(self, account: UUID, secret_hash: bytes, plan_hash: str, now: datetime) -> bool:
        """Whether a request with this id may approve it (anew): the same one, with the same words.

        Each time is an approval of its own, with its own tombstone and its own time to be carried out.
        """
        same = (self.account, self.secret_hash, self.plan_hash) == (account, secret_hash, plan_hash)
        if not same or self.state not in (CaseState.APPROVED, CaseState.VOIDED):
            return False
        self.state, self.approved_at, self.due = CaseState.APPROVED, now, now + IN_DOUBT
        self._changed()
        return True

    def begin(self, deleted_at: datetime, now: datetime) -> None:
        """The account is gone. Later news of the same change nothing."""
        if self.state in (CaseState.APPROVED, CaseState.VOIDED):
            self.state, self.deleted_at, self.due = CaseState.ERASING, deleted_at, now + FIRST_LOOK
            self._changed()

    def void(self, approved_at: datetime) -> bool:
        """Nothing came of the approval of then: False if something did, or there is a later one."""
        if self.state is not CaseState.APPROVED or self.approved_at != approved_at:
            return False
        self.state = CaseState.VOIDED
        self._changed()
        return True

    def sign(self, receipt: str, now: datetime) -> None:
        """Nothing is found any more."""
        self.state, self.receipt, self.signed_at = CaseState.RECEIPT_SIGNED, receipt, now
        self.due = now + OPEN_ENDS  # or when a scrub is reported
        self._changed()

    def close(self, supplement: str, now: datetime) -> None:
        """The last bytes are gone too: whose it was is forgotten."""
        self.state, self.supplement, self.closed_at, self.account = CaseState.CLOSED, supplement, now, None
        self._changed()

    def wait(self, pause: timedelta, now: datetime) -> None:
        """Look again later."""
        self.due = now + pause

    @classmethod
    def from_ledger(cls, erasure: UUID, account: UUID, deleted_at: datetime, now: datetime) -> Self:
        """The ledger knows of it and this database does not, as after a restore: nobody has its secret."""
        case = cls.approve(erasure, account, b"", "", deleted_at)
        case.begin(deleted_at, now)
        return case

    def _changed(self) -> None:
        self.revision += 1


class HolderCase(Row, table=True):
    """What one holder had and has of an erasure.

    `before`: what was counted when the account was deleted, None if the holder was silent then; `left`: at
    the last look. Both are lists of category, fate, ground, until, count. `vendors`: copies with vendors,
    of the last look.
    """

    __tablename__ = "erasure_holders"
    __table_args__ = (
        ForeignKeyConstraint(
            ["erasure"], ["erasure_cases.id"], "fk_erasure_holders_case", ondelete="CASCADE"
        ),
    )

    erasure: UUID = plain("chosen at random by the client", primary_key=True)
    holder: str = plain("a service", primary_key=True)
    state: HolderState = plain("one of a fixed set", Text)
    before: list[dict[str, Any]] | None = plain("numbers by category", JSONB)
    left: list[dict[str, Any]] | None = plain("numbers by category", JSONB)
    vendors: list[dict[str, Any]] = plain("numbers by vendor", JSONB)
    tries: int = plain("how often it was asked")
    cause: str = plain("a constant: why it is not done")
    remind_at: datetime = plain("when it is asked again", MOMENT)
    answered_at: datetime | None = plain("when it said that it was done", MOMENT)
    verified_at: datetime | None = plain("when nothing was found", MOMENT)

    @classmethod
    def told(cls, erasure: UUID, holder: str, before: list[dict[str, Any]] | None, now: datetime) -> Self:
        """It hears of it by the event; should it not answer, it is asked."""
        return cls(
            erasure=erasure, holder=holder, state=HolderState.WAITING, before=before, left=None,
            vendors=[], tries=0, cause="", remind_at=now + FIRST_REMINDER, answered_at=None, verified_at=None,
        )  # fmt: skip

    def answer(self, at: datetime | None) -> None:
        """It said (if so, when) that it is done, which is looked into."""
        if at is not None and self.state is HolderState.WAITING:
            self.state, self.answered_at = HolderState.ANSWERED, at

    def remind(self, cause: str, now: datetime) -> None:
        """It was asked again; `cause` is what it says, or what became of the question."""
        self.tries += 1
        self.cause = cause
        self.remind_at = now + min(FIRST_REMINDER * 2 ** min(self.tries - 1, 10), LONGEST_PAUSE)

    def looked_through(
        self, left: list[dict[str, Any]], vendors: list[dict[str, Any]], waiting: int, now: datetime
    ) -> None:
        """A second look found this. What is found is asked for again; messages that wait are waited for.

        One that still waits after a minute may be a dead letter that came late: erasing again ends it.
        """
        self.left, self.vendors = left, vendors
        if left:
            self.state, self.cause, self.remind_at = HolderState.WAITING, FOUND_AGAIN, now
        elif waiting:
            self.cause = MESSAGES_WAITING
            if self.answered_at is not None and now >= self.answered_at + LONGEST_PAUSE:
                self.state, self.remind_at = HolderState.WAITING, now
        else:
            self.state, self.cause, self.verified_at = HolderState.VERIFIED, "", now

    @property
    def shown(self) -> tuple[object, ...]:
        """What those who watch see of it."""
        return self.state, self.left_now, self.tries, self.cause

    @property
    def found_before(self) -> int:
        """How many entries there were, as far as they were counted; what lies in backups is not twice."""
        return sum(each["count"] for each in self.before or [] if each["fate"] != "IN_BACKUPS_UNTIL")

    @property
    def left_now(self) -> int | None:
        """How many the last look found."""
        return None if self.left is None else sum(each["count"] for each in self.left)


class Scrub(Row, table=True):
    """A scrub that was reported: what it searched, and that it found nothing."""

    __tablename__ = "scrubs"

    id: UUID = plain("a random id", primary_key=True)
    began_at: datetime = plain("when it began", MOMENT, index=True)
    ended_at: datetime = plain("when it ended", MOMENT)
    searched_bytes: int = plain("a number", BigInteger)
    searched_values: int = plain("how many values were looked for")
    hits: int = plain("how many were found")


class ReceiptKey(Row, table=True):
    """A public key that receipts were signed with; kept for as long as receipts are."""

    __tablename__ = "receipt_keys"

    kid: str = plain("a random id", primary_key=True)
    jwk: dict[str, Any] = plain("a public key", JSONB)
    since: datetime = plain("when it came", MOMENT)
