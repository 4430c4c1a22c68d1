"""The credit ledger: lots, transfers between their accounts, holds.

Double entry. Credits that were granted together are a *lot*, and each lot has five accounts:
GRANTED (what the house gave: a debit balance), AVAILABLE, HELD, SETTLED and EXPIRED (credit
balances). A *transfer* debits one account of a lot and credits another by the same amount, so that
no transaction can fail to sum to zero; the database moves the balances from the transfers and from
nothing else, and refuses what would take one below zero. As the house's side stands in each lot as
well, no row is shared between people and nobody waits for a stranger's commit; the house's totals are
sums (view `trial_balance`).

A lot belongs to a *book*, a random id. `Wallet` is the only link between a book and a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Text, text

from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from promises import tables
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

MOMENT = DateTime(timezone=True)
LINK = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.CONTRACT, ACCOUNT, DELETE)
BOOK = "a random id: somebody's while a wallet names it, nobody's once the wallet is deleted"
LEDGER = "an entry of the ledger, which knows books and not people"


class Row(Base, registry=inventory("billing")):
    """What billing keeps."""


tables.standard(Row.metadata)


class TransferKind(StrEnum):
    """Why credits move. Each kind debits one account and credits one: `ck_transfers_route`."""

    GRANT = "GRANT"
    HOLD = "HOLD"
    CAPTURE = "CAPTURE"
    RELEASE = "RELEASE"
    EXPIRY = "EXPIRY"


class HoldState(StrEnum):
    """What became of a hold; HELD ends once, in one of the others."""

    HELD = "HELD"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"


class Wallet(Row, table=True):
    """Whose book it is: the only row that knows."""

    __tablename__ = "wallets"

    account: UUID = subject(DELETE, primary_key=True)
    book: UUID = LINK.column(unique=True)
    created_at: datetime = LINK.column(MOMENT)


class Lot(Row, table=True):
    """Credits granted together, and where they are now. Begins empty; a GRANT fills it."""

    __tablename__ = "lots"
    __table_args__ = (
        CheckConstraint("granted = available + held + settled + expired", name="ck_lots_balanced"),
        CheckConstraint(
            "least(granted, available, held, settled, expired) >= 0", name="ck_lots_not_negative"
        ),
        Index("ix_lots_ending", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        # Balances change with every transfer: room on the page keeps that out of the indexes.
        {"postgresql_with": {"fillfactor": 60}},
    )

    lot: UUID = plain("a random id", primary_key=True)
    book: UUID = plain(BOOK, index=True)
    granted: int = plain(LEDGER)
    available: int = plain(LEDGER)
    held: int = plain(LEDGER)
    settled: int = plain(LEDGER)
    expired: int = plain(LEDGER)
    expires_at: datetime | None = plain("when what is still available ends; null is never", MOMENT)
    created_at: datetime = plain(LEDGER, MOMENT)


class Transfer(Row, table=True):
    """An amount from the debited account of a lot to the credited one; never changed, never removed.

    `transaction` groups what happened together.
    """

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("amount > 0", name="ck_transfers_amount"),
        CheckConstraint(
            "(kind, debit, credit) IN ("
            "('GRANT', 'GRANTED', 'AVAILABLE'), ('HOLD', 'AVAILABLE', 'HELD'),"
            " ('CAPTURE', 'HELD', 'SETTLED'), ('RELEASE', 'HELD', 'AVAILABLE'),"
            " ('EXPIRY', 'AVAILABLE', 'EXPIRED'))",
            name="ck_transfers_route",
        ),
        CheckConstraint(
            "(generation IS NOT NULL) = (kind IN ('HOLD', 'CAPTURE', 'RELEASE'))",
            name="ck_transfers_generation",
        ),
        Index("ix_transfers_generation", "generation", postgresql_where=text("generation IS NOT NULL")),
    )

    # The key is the order in which a person's entries are listed.
    book: UUID = plain(BOOK, primary_key=True)
    at: datetime = plain(LEDGER, MOMENT, primary_key=True)
    transaction: UUID = plain("a random id", primary_key=True)
    lot: UUID = plain("a random id", primary_key=True)
    kind: TransferKind = plain(LEDGER, Text, primary_key=True)
    debit: str = plain(LEDGER)
    credit: str = plain(LEDGER)
    amount: int = plain(LEDGER)
    generation: UUID | None = plain("a job's random id; whose it was only generation knows")


class Hold(Row, table=True):
    """Credits set aside for one generation. Its transfers say from which lots."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("captured BETWEEN 0 AND credits", name="ck_holds_captured"),
        # Only a hold that was given back before it was placed has no book: nothing was ever in it.
        CheckConstraint("book IS NOT NULL OR (state = 'RELEASED' AND credits = 0)", name="ck_holds_book"),
        CheckConstraint("(state = 'HELD') = (settled_at IS NULL)", name="ck_holds_settled"),
        Index("ix_holds_stale", "expires_at", postgresql_where=text("state = 'HELD'")),
    )

    generation: UUID = plain("a job's random id; whose it was only generation knows", primary_key=True)
    book: UUID | None = plain(BOOK)
    credits: int = plain(LEDGER)
    captured: int = plain(LEDGER)
    state: HoldState = plain(LEDGER, Text)
    placed_at: datetime = plain(LEDGER, MOMENT)
    expires_at: datetime = plain("when billing asks what became of the job", MOMENT)
    settled_at: datetime | None = plain(LEDGER, MOMENT)


class InsufficientCredits(FailedPrecondition):
    """The person has less than the order can cost."""

    sentence = (
        "This needs {needed} credits and {available} are available: ask for fewer Outputs or a cheaper model"
        " (GET /v1/models), or wait until jobs under way give back what they don't use."
    )


class HoldMismatch(AlreadyExists):
    """The generation has a hold already, over another amount or of somebody else."""

    sentence = "generations/{generation} has another hold already: order again under a new id."


class HoldReleased(FailedPrecondition):
    """The hold was given back, perhaps before it was placed."""

    sentence = "The hold for generations/{generation} was given back: order again under a new id."


class HoldCaptured(FailedPrecondition):
    """What is charged is not given back by a release."""

    sentence = "The hold for generations/{generation} was captured: what was delivered is charged."


class HoldUnknown(FailedPrecondition):
    """Something was delivered for which nothing was ever held."""

    sentence = "There is no hold for generations/{generation}: place one before the work begins."


class NameInvalid(InvalidArgument):
    """A resource name that can't be one."""

    sentence = "`{field}` must be {collection}/ and a UUID."


def id_of(name: str, collection: str, field: str) -> UUID:
    """The id in a resource name such as `generations/{uuid}` (AIP-122).

    Raises NameInvalid, which names `field` as the client spells it.
    """
    prefix, _, last = name.partition("/")
    try:
        found = UUID(last)
    except ValueError:
        found = None
    if prefix != collection or found is None or str(found) != last:
        violations = [(field, f"must be {collection}/ and a UUID in lower case")]
        raise NameInvalid(field=field, collection=collection, violations=violations)
    return found


@dataclass(frozen=True, slots=True)
class Gift:
    """Credits that a person is given, and how long they last; None is for ever."""

    credits: int
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """A person's credits; each that was ever granted is in one of the three, or expired."""

    available: int
    held: int
    settled: int


@dataclass(frozen=True, slots=True)
class Placement:
    """What asking for a hold came to: the hold that stands, if one does, and what else there is.

    `own` says whether that hold is in the asking wallet's book.
    """

    available: int
    own: bool
    hold: Hold | None

    def accepted(self, generation: UUID, needed: int) -> Hold:
        """The hold that was asked for; the same one when asked again.

        Raises InsufficientCredits, HoldMismatch (another amount, another person's), HoldReleased.
        """
        if self.hold is None:
            raise InsufficientCredits(needed=needed, available=self.available)
        if self.hold.state is HoldState.RELEASED:
            raise HoldReleased(generation=generation)
        if not self.own or self.hold.credits != needed:
            raise HoldMismatch(generation=generation)
        return self.hold


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction as its person sees it: how `available` and `held` changed.

    `kind` is CAPTURE also where the rest of the hold was released in the same transaction. `ends_at` is
    when granted credits end, if they do.
    """

    transaction: UUID
    at: datetime
    kind: TransferKind
    generation: UUID | None
    available_delta: int
    held_delta: int
    ends_at: datetime | None = None

    @property
    def description(self) -> str:
        """What happened, as a sentence."""
        match self.kind:
            case TransferKind.GRANT:
                until = f", usable until {self.ends_at:%Y-%m-%d %H:%M} UTC" if self.ends_at else ""
                return f"{_credits(self.available_delta)} given to you{until}."
            case TransferKind.HOLD:
                return f"{_credits(self.held_delta)} set aside for a generation."
            case TransferKind.CAPTURE:
                charged = -self.held_delta - self.available_delta
                rest = f", {self.available_delta} given back" if self.available_delta else ""
                return f"{_credits(charged)} charged for what a generation delivered{rest}."
            case TransferKind.RELEASE:
                return f"{_credits(self.available_delta)} given back: the generation delivered nothing."
            case TransferKind.EXPIRY:
                return f"{_credits(-self.available_delta)} ended unused."


def _credits(number: int) -> str:
    return "1 credit" if number == 1 else f"{number} credits"
