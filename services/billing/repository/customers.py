"""Who is a customer at Stripe, and which customers there must not stay.

Whoever writes takes the lock on the subject first and a closing's second, as erasing does: so they wait for
each other and never in a circle.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, bindparam, select, text
from sqlmodel import col

from chassis.db import Database, Queries, Statement, Transaction, scalar
from chassis.errors import SubjectUnknown
from services.billing.domain import (
    CLOSED_KEPT,
    INDEXED_AFTER,
    KEYS_LAST,
    OPENING_LASTS,
    Closing,
    ClosingState,
    CustomerClosing,
    StripeCustomer,
    Wallet,
)

OF = Statement(
    select(col(StripeCustomer.customer)).where(col(StripeCustomer.account) == bindparam("of")), scalar
)
BOOK = Statement(select(col(Wallet.book)).where(col(Wallet.account) == bindparam("of")), scalar)
# The one that is on its way already, or a new one. None if there is one by now, if there is one to be closed
# first, or if one is on its way for so long that Stripe may have forgotten its key.
OPEN = Statement(
    text("""
    INSERT INTO closings (book, attempt, state, tries, cause, asked_at, due)
    SELECT book, 0, 'OPENING', 0, '', :now, :due FROM wallets JOIN subjects USING (account)
    WHERE account = :account FOR KEY SHARE OF subjects
    ON CONFLICT (book) DO UPDATE SET
        state = 'OPENING', due = :due,
        attempt = closings.attempt + CASE closings.state WHEN 'CLOSED' THEN 1 ELSE 0 END,
        asked_at = CASE closings.state WHEN 'CLOSED' THEN :now ELSE closings.asked_at END,
        customer = NULL, tries = 0, cause = ''
    WHERE closings.state = 'CLOSED' OR closings.state = 'OPENING' AND closings.asked_at > :stale
    RETURNING *
    """),
    Closing,
)
NAME = Statement(
    text(
        "INSERT INTO stripe_customers (account, customer, created_at) VALUES (:account, :customer, :now)"
        " ON CONFLICT DO NOTHING"
    )
)
ADOPTED = Statement(
    text(
        "UPDATE closings SET state = 'ADOPTED'"
        " WHERE book = :book AND attempt = :attempt AND state = 'OPENING'"
    )
)
GIVE_UP = Statement(
    text("UPDATE closings SET state = 'WANTED', due = :due WHERE book = :book AND state = 'OPENING'")
)
GIVE_UP_OLD = Statement(
    text(
        "UPDATE closings SET state = 'WANTED', due = :now"
        " WHERE state = 'OPENING' AND (due <= :now OR asked_at <= :stale)"
    )
)
NOTE = Statement(
    text("""
    INSERT INTO closings (book, attempt, customer, erasure, state, tries, cause, asked_at, due)
    SELECT book, 0, named.customer, :erasure, 'WANTED', 0, '', :now, :now
    FROM wallets LEFT JOIN stripe_customers AS named USING (account)
    WHERE account = :account
        AND (named.customer IS NOT NULL OR EXISTS (SELECT FROM closings WHERE closings.book = wallets.book))
    ON CONFLICT (book) DO UPDATE SET
        erasure = :erasure, state = 'WANTED', customer = coalesce(excluded.customer, closings.customer),
        tries = 0, cause = '', due = CASE closings.state
            WHEN 'OPENING' THEN closings.due - :rest WHEN 'WANTED' THEN closings.due ELSE :now END
    """).bindparams(bindparam("rest", type_=Interval))
)
OF_ERASURE = Statement(select(Closing).where(col(Closing.erasure) == bindparam("of")), Closing)
# Those that no erasure waits for.
WANTED = Statement(
    select(Closing)
    .where(
        col(Closing.state) == ClosingState.WANTED,
        col(Closing.erasure).is_(None),
        col(Closing.due) <= bindparam("now"),
    )
    .order_by(col(Closing.due))
    .limit(bindparam("rows")),
    Closing,
)
NAMED = Statement(text("UPDATE closings SET customer = :customer WHERE book = :book"))
CLOSED = Statement(text("UPDATE closings SET state = 'CLOSED', cause = '', due = :due WHERE book = :book"))
FAILED = Statement(
    text(
        "UPDATE closings SET tries = tries + 1, cause = :cause, due = GREATEST(due, :due) WHERE book = :book"
    )
)
FORGET = Statement(text("DELETE FROM closings WHERE state = 'CLOSED' AND due <= :now"))


class Customers:
    """Rows of `stripe_customers` and `closings`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self._db.clock.now()

    async def of(self, account: UUID) -> str | None:
        """Who somebody is at Stripe."""
        return await self._db.first(OF, of=account)

    async def open(self, account: UUID) -> Closing | None:
        """Write down that a customer is about to be made for somebody; again: the one on its way.

        None if somebody was faster and there is one. Raises SubjectUnknown, or CustomerClosing while an
        earlier one has to be closed.
        """
        now = self.now
        opened = await self._db.first(
            OPEN, account=account, now=now, stale=now - KEYS_LAST, due=now + OPENING_LASTS
        )
        if opened is not None or await self.of(account) is not None:
            return opened
        if await self._db.first(BOOK, of=account) is None:
            raise SubjectUnknown(account)
        raise CustomerClosing

    async def adopt(self, account: UUID, opening: Closing, customer: str) -> None:
        """It is somebody's from now on, unless somebody was faster.

        Raises SubjectUnknown if they were erased meanwhile, CustomerClosing if it was given up.
        """
        async with self._db.transaction() as tx:
            named = await tx.execute(NAME, account=account, customer=customer, now=self.now)
            if named and not await tx.execute(ADOPTED, book=opening.book, attempt=opening.attempt):
                raise CustomerClosing

    async def give_up(self, book: UUID) -> None:
        """What may have been made is closed, once Stripe surely finds it."""
        await self._db.execute(GIVE_UP, book=book, due=self.now + INDEXED_AFTER)

    async def give_up_old(self) -> None:
        """Those whose maker died."""
        now = self.now
        await self._db.execute(GIVE_UP_OLD, now=now, stale=now - KEYS_LAST)

    async def note(self, tx: Transaction, account: UUID, erasure: UUID) -> None:
        """Somebody is being erased: their customer, or one on its way to being theirs, is to be closed."""
        rest = OPENING_LASTS - INDEXED_AFTER
        await tx.execute(NOTE, account=account, erasure=erasure, now=self.now, rest=rest)

    async def of_erasure(self, erasure: UUID, within: Queries | None = None) -> Closing | None:
        """What an erasure has to close, or has closed."""
        return await (within or self._db).first(OF_ERASURE, of=erasure)

    async def wanted(self, rows: int) -> list[Closing]:
        """Up to `rows` that are due and that no erasure waits for."""
        return await self._db.all(WANTED, now=self.now, rows=rows)

    async def named(self, closing: Closing, customer: str) -> None:
        """Who it is about is known by now."""
        await self._db.execute(NAMED, book=closing.book, customer=customer)

    async def closed(self, closing: Closing) -> None:
        """Nothing of it is left at Stripe but what the law keeps."""
        await self._db.execute(CLOSED, book=closing.book, due=self.now + CLOSED_KEPT)

    async def failed(self, closing: Closing, cause: str, pause: timedelta = timedelta(0)) -> None:
        """It is tried again after a pause at the earliest, and it is known why it was not done."""
        await self._db.execute(FAILED, book=closing.book, cause=cause, due=self.now + pause)

    async def forget(self) -> int:
        """Those that were closed long enough ago; answers how many."""
        return await self._db.execute(FORGET, now=self.now)
