"""Who is a customer at Stripe and to what they subscribed, and which customers there must not stay.

Whoever writes takes the lock on the subject first and a closing's second, as erasing does: so they wait for
each other and never in a circle.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Interval, Text, bindparam, select, text
from sqlmodel import col

from chassis.db import Database, Queries, Statement, Transaction, scalar
from chassis.errors import SubjectUnknown
from services.billing.domain import (
    CLOSED_KEPT,
    ENDED,
    INDEXED_AFTER,
    KEYS_LAST,
    OPENING_LASTS,
    Closing,
    ClosingState,
    CustomerClosing,
    Row,
    StripeCustomer,
    Subscribed,
    Wallet,
)

OF = Statement(
    select(col(StripeCustomer.customer)).where(col(StripeCustomer.account) == bindparam("of")), scalar
)
WHOSE = Statement(
    select(col(StripeCustomer.account)).where(col(StripeCustomer.customer) == bindparam("of")), scalar
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
# Stripe was asked before this, and two who asked may come in another order: who asked last is right, and what
# has ended stays so. Whose customer it is may have changed since then, and is looked up once more.
MIRROR = Statement(
    text("""
    WITH named AS (
        SELECT account FROM subjects JOIN stripe_customers USING (account)
        WHERE customer = :customer FOR KEY SHARE
    ), mirrored AS (
        INSERT INTO stripe_subscriptions AS known (subscription, account, status, period_end, asked_at)
        SELECT :subscription, account, :status, :period_end, :asked_at FROM named
        ON CONFLICT (subscription) DO UPDATE SET
            status = excluded.status, period_end = excluded.period_end, asked_at = excluded.asked_at
        WHERE known.asked_at <= excluded.asked_at AND known.status <> ALL (:ended)
    )
    SELECT account FROM named
    """).bindparams(bindparam("ended", type_=ARRAY(Text))),
    scalar,
)
# The closing says that the next one is made under another key.
LOSE = Statement(
    text("""
    WITH named AS (
        SELECT account, book FROM subjects JOIN stripe_customers USING (account) JOIN wallets USING (account)
        WHERE customer = :customer FOR KEY SHARE OF subjects FOR UPDATE OF stripe_customers
    ), lost AS (
        DELETE FROM stripe_customers USING named WHERE stripe_customers.account = named.account
    ), ended AS (
        DELETE FROM stripe_subscriptions USING named WHERE stripe_subscriptions.account = named.account
    ), closed AS (
        INSERT INTO closings (book, attempt, customer, state, tries, cause, asked_at, due)
        SELECT book, 0, :customer, 'CLOSED', 0, '', :now, :due FROM named
        ON CONFLICT (book) DO UPDATE SET
            customer = excluded.customer, state = 'CLOSED', cause = '', due = excluded.due
    )
    SELECT account FROM named
    """),
    scalar,
)
OF_NOBODY = Statement(select(Closing).where(col(Closing.customer) == bindparam("of")), Closing)
REOPEN = Statement(
    text(
        "UPDATE closings SET state = 'WANTED', tries = 0, cause = '', due = LEAST(due, :now)"
        " WHERE customer = :customer AND state IN ('WANTED', 'CLOSED')"
    )
)
OF_ERASURE = Statement(select(Closing).where(col(Closing.erasure) == bindparam("of")), Closing)
ERASURES = Row.metadata.tables["erasures"]
# Those that no erasure waits for: none ever did, or it is over and something turned up after it.
WANTED = Statement(
    select(Closing)
    .where(
        col(Closing.state) == ClosingState.WANTED,
        ~select(ERASURES).where(ERASURES.c.erasure == col(Closing.erasure)).exists(),
        col(Closing.due) <= bindparam("now"),
    )
    .order_by(col(Closing.due))
    .limit(bindparam("rows")),
    Closing,
)
NAMED = Statement(text("UPDATE closings SET customer = :customer WHERE book = :book"))
CLOSED = Statement(
    text(
        "UPDATE closings SET state = 'CLOSED', cause = '', due = :due WHERE book = :book AND state = 'WANTED'"
    )
)
FAILED = Statement(
    text(
        "UPDATE closings SET tries = tries + 1, cause = :cause, due = GREATEST(due, :due) WHERE book = :book"
    )
)
FORGET = Statement(text("DELETE FROM closings WHERE state = 'CLOSED' AND due <= :now"))


class Customers:
    """Rows of `stripe_customers`, `stripe_subscriptions` and `closings`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self._db.clock.now()

    async def of(self, account: UUID) -> str | None:
        """Who somebody is at Stripe."""
        return await self._db.first(OF, of=account)

    async def whose(self, customer: str) -> UUID | None:
        """Whose customer it is."""
        return await self._db.first(WHOSE, of=customer)

    async def mirror(self, found: Subscribed, asked_at: datetime) -> bool:
        """How a subscription stands since Stripe was asked; False if its customer is nobody's by now."""
        async with self._db.transaction() as tx:
            values = {
                "subscription": found.subscription,
                "status": found.status,
                "period_end": found.period_end,
            }
            named = {"customer": found.customer, "asked_at": asked_at, "ended": list(ENDED)}
            return await tx.first(MIRROR, **values, **named) is not None

    async def lose(self, customer: str) -> bool:
        """Somebody's customer is no more, through no doing of ours; False if it is nobody's by now."""
        now = self.now
        async with self._db.transaction() as tx:
            return await tx.first(LOSE, customer=customer, now=now, due=now + CLOSED_KEPT) is not None

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

    async def of_nobody(self, customer: str) -> Closing | None:
        """What is written down about a customer who is nobody's any more."""
        return await self._db.first(OF_NOBODY, of=customer)

    async def reopen(self, customer: str) -> None:
        """Something is left of one who is to be closed, or was: it is seen to at once."""
        await self._db.execute(REOPEN, customer=customer, now=self.now)

    async def wanted(self, rows: int) -> list[Closing]:
        """Up to `rows` that are due and that no erasure waits for."""
        return await self._db.all(WANTED, now=self.now, rows=rows)

    async def named(self, closing: Closing, customer: str) -> None:
        """Who it is about is known by now."""
        await self._db.execute(NAMED, book=closing.book, customer=customer)

    async def closed(self, closing: Closing) -> None:
        """Nothing of it is left at Stripe but what the law keeps; again: it is so since then."""
        await self._db.execute(CLOSED, book=closing.book, due=self.now + CLOSED_KEPT)

    async def failed(self, closing: Closing, cause: str, pause: timedelta = timedelta(0)) -> None:
        """It is tried again after a pause at the earliest, and it is known why it was not done."""
        await self._db.execute(FAILED, book=closing.book, cause=cause, due=self.now + pause)

    async def forget(self) -> int:
        """Those that were closed long enough ago; answers how many."""
        return await self._db.execute(FORGET, now=self.now)
