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

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Text, text

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
BOOK = "a random id: somebody's while a wallet names it, then nobody's until the day in closed_books"
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
    CARRY = "CARRY"


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
    """An amount from the debited account of a lot to the credited one; never changed, and gone with its book.

    `transaction` groups what happened together. A CARRY stands for what was in books that are gone.
    """

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("amount > 0", name="ck_transfers_amount"),
        CheckConstraint(
            "(kind, debit, credit) IN ("
            "('GRANT', 'GRANTED', 'AVAILABLE'), ('HOLD', 'AVAILABLE', 'HELD'),"
            " ('CAPTURE', 'HELD', 'SETTLED'), ('RELEASE', 'HELD', 'AVAILABLE'),"
            " ('EXPIRY', 'AVAILABLE', 'EXPIRED'), ('CARRY', 'GRANTED', 'AVAILABLE'),"
            " ('CARRY', 'GRANTED', 'SETTLED'), ('CARRY', 'GRANTED', 'EXPIRED'))",
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
        Index("ix_holds_bookless", "settled_at", postgresql_where=text("book IS NULL")),
    )

    generation: UUID = plain("a job's random id; whose it was only generation knows", primary_key=True)
    book: UUID | None = plain(BOOK)
    credits: int = plain(LEDGER)
    captured: int = plain(LEDGER)
    state: HoldState = plain(LEDGER, Text)
    placed_at: datetime = plain(LEDGER, MOMENT)
    expires_at: datetime = plain("when billing asks what became of the job", MOMENT)
    settled_at: datetime | None = plain(LEDGER, MOMENT)
