"""Every query of the ledger.

Placing and settling a hold are one call of a function in the database each (`migrations/`): every
statement of theirs but the first would be a round trip under the lock on a person's credits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from chassis.db import Database, Queries, Record, Statement, Transaction, scalar
from chassis.errors import SubjectUnknown
from chassis.pages import Position
from services.billing.domain import Balance, Entry, Gift, Hold, HoldState, Placement, TransferKind, Wallet


def _placement(record: Record) -> Placement:
    fields = dict(record)
    available, own = fields.pop("available"), fields.pop("own")
    hold = Hold(**{**fields, "state": HoldState(fields["state"])}) if fields["state"] else None
    return Placement(available, bool(own), hold)


PLACE = Statement(
    text("SELECT * FROM place_hold(:account, :generation, :credits, :transaction, :at, :expires_at)"),
    _placement,
)
SETTLE = Statement(text("SELECT * FROM settle_hold(:generation, :credits, :transaction, :at)"), Hold)
HOLD = Statement(select(Hold).where(col(Hold.generation) == bindparam("of")), Hold)
# Remembers that a hold was given back before it was placed.
REMEMBER = Statement(
    insert(Hold)
    .values(
        generation=bindparam("of"), book=None, credits=0, captured=0, state=HoldState.RELEASED,
        placed_at=bindparam("now"), expires_at=bindparam("now"), settled_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
    .returning(Hold),
    Hold,
)  # fmt: skip
GRANT = Statement(
    text("""
    WITH opened AS (
        INSERT INTO lots (lot, book, granted, available, held, settled, expired, expires_at, created_at)
        SELECT :lot, book, 0, 0, 0, 0, 0, :expires_at, :at FROM wallets WHERE account = :account
        RETURNING lot, book
    )
    INSERT INTO transfers (transaction, lot, book, kind, debit, credit, amount, at)
    SELECT :transaction, lot, book, 'GRANT', 'GRANTED', 'AVAILABLE', :credits, :at FROM opened
    """)
)
BOOK = Statement(select(col(Wallet.book)).where(col(Wallet.account) == bindparam("of")), scalar)
# What a lot still has after its end is not available any more, whether or not that was booked yet.
BALANCE = Statement(
    text("""
    SELECT
        coalesce(sum(available) FILTER (WHERE expires_at IS NULL OR expires_at > :at), 0) AS available,
        coalesce(sum(held), 0) AS held,
        coalesce(sum(settled), 0) AS settled
    FROM wallets LEFT JOIN lots USING (book) WHERE account = :account GROUP BY book
    """),
    lambda record: Balance(*record),
)


def _entry(record: Record) -> Entry:
    return Entry(**{**record, "kind": TransferKind(record["kind"])})


def _entries(where: str) -> Statement[Entry]:
    # min(kind): a capture and the release of the rest are one transaction, and CAPTURE comes first in
    # the alphabet.
    return Statement(
        text(f"""
        SELECT transaction, at, min(kind) AS kind, generation,
            sum(CASE 'AVAILABLE' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END)
                AS available_delta,
            sum(CASE 'HELD' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS held_delta,
            max(expires_at) FILTER (WHERE kind = 'GRANT') AS ends_at
        FROM transfers JOIN lots USING (lot, book)
        WHERE {where} AND (at, transaction) < (:before, :before_transaction)
        GROUP BY book, at, transaction, generation ORDER BY book DESC, at DESC, transaction DESC LIMIT :rows
        """),  # noqa: S608 - the two conditions below
        _entry,
    )


# What is left of lots whose time is over; one that is being drawn from waits for the next round.
EXPIRE = Statement(
    text("""
    WITH ended AS (
        SELECT lot, book, available FROM lots
        WHERE expires_at <= :at AND expires_at > :since AND available > 0
        ORDER BY expires_at, lot LIMIT cardinality(:transactions) FOR UPDATE SKIP LOCKED
    ), numbered AS (
        SELECT lot, book, available, row_number() OVER (ORDER BY lot) AS number FROM ended
    )
    INSERT INTO transfers (book, at, transaction, lot, kind, debit, credit, amount)
    SELECT book, :at, (:transactions)[number], lot, 'EXPIRY', 'AVAILABLE', 'EXPIRED', available FROM numbered
    """).bindparams(bindparam("transactions", type_=ARRAY(Uuid)))
)
STALE = Statement(
    select(col(Hold.generation))
    .where(col(Hold.state) == HoldState.HELD, col(Hold.expires_at) <= bindparam("now"))
    .order_by(col(Hold.expires_at))
    .limit(bindparam("rows")),
    scalar,
)
POSTPONE = Statement(
    update(Hold)
    .where(col(Hold.generation) == bindparam("of"), col(Hold.state) == HoldState.HELD)
    .values(expires_at=bindparam("until"))
)
ENTRIES = _entries("book = :book")
ENTRIES_OF_GENERATION = _entries("book = :book AND generation = :generation")
NEWEST = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
"""Before this position come all entries."""
LOOK_BACK = timedelta(days=30)


class Ledger:
    """The ledger as the rest of the service sees it. Time and ids are the database's own (`db.clock`).

    `turns`: how many orders of one person may be in the database at once (see Turns).
    """

    def __init__(self, db: Database, turns: int = 4) -> None:
        self._db = db
        self._turns = Turns(turns)

    async def place(self, account: UUID, generation: UUID, needed: int, lifetime: timedelta) -> Placement:
        """Set `needed` credits aside for `generation`, if they are there and nothing stands in the way.

        Raises SubjectUnknown if the account has no wallet here.
        """
        now = self._db.clock.now()
        async with self._turns.take(account):
            placement = await self._db.first(
                PLACE,
                account=account,
                generation=generation,
                credits=needed,
                transaction=self._db.new_id(),
                at=now,
                expires_at=now + lifetime,
            )
        if placement is None:
            raise SubjectUnknown(account)
        return placement

    async def settle(self, generation: UUID, price: int, on: Queries | None = None) -> Hold | None:
        """Capture up to `price` of the hold and release the rest, in the transaction `on` if there is one.

        None if there is no hold, or it ended before: then nothing changes.
        """
        now, transaction = self._db.clock.now(), self._db.new_id()
        return await (on or self._db).first(
            SETTLE, generation=generation, credits=price, transaction=transaction, at=now
        )

    async def release(self, generation: UUID, on: Queries | None = None) -> Hold:
        """Give the hold back whole; remembered if it was not placed yet, so that it can't be any more.

        Answers the hold as it ended: CAPTURED if that came first.
        """
        while True:
            hold = await self.settle(generation, 0, on) or await self._remember(generation, on)
            if hold is not None:
                return hold
            stands = await self.hold(generation, on)
            # HELD: it was placed between the two statements, and now there is one to release.
            if stands is not None and stands.state is not HoldState.HELD:
                return stands

    async def _remember(self, generation: UUID, on: Queries | None) -> Hold | None:
        return await (on or self._db).first(REMEMBER, of=generation, now=self._db.clock.now())

    async def hold(self, generation: UUID, on: Queries | None = None) -> Hold | None:
        """The hold of a generation."""
        return await (on or self._db).first(HOLD, of=generation)

    async def open(self, tx: Transaction, account: UUID, gift: Gift) -> None:
        """Make the wallet of a new person, with a first gift; one of 0 credits is none."""
        wallet = Wallet(account=account, book=self._db.new_id(), created_at=self._db.clock.now())
        await tx.insert(wallet)
        if gift.credits > 0:
            await self.grant(account, gift, tx)

    async def grant(self, account: UUID, gift: Gift, on: Queries | None = None) -> None:
        """Give somebody credits, as a lot of their own. Raises SubjectUnknown if there is no wallet."""
        now, lot, transaction = self._db.clock.now(), self._db.new_id(), self._db.new_id()
        given = await (on or self._db).execute(
            GRANT,
            account=account,
            lot=lot,
            transaction=transaction,
            credits=gift.credits,
            at=now,
            expires_at=now + gift.lasts if gift.lasts else None,
        )
        if not given:
            raise SubjectUnknown(account)

    async def expire(self, rows: int) -> int:
        """Book what is left of up to `rows` lots whose time is over as EXPIRED; answers how many there were.

        A lot is looked at for 30 days after its end. Credits that come back to it later (a hold
        released very late) stay where they are: the balance goes by the clock, not by this booking.
        """
        now = self._db.clock.now()
        transactions = [self._db.new_id() for _ in range(rows)]
        return await self._db.execute(EXPIRE, at=now, since=now - LOOK_BACK, transactions=transactions)

    async def stale(self, rows: int) -> list[UUID]:
        """The generations of up to `rows` holds that stand after their time, the oldest first."""
        return await self._db.all(STALE, now=self._db.clock.now(), rows=rows)

    async def postpone(self, generation: UUID, by: timedelta) -> None:
        """Let a hold that stands stand longer, from now on."""
        await self._db.execute(POSTPONE, of=generation, until=self._db.clock.now() + by)

    async def book(self, account: UUID) -> UUID | None:
        """Whose transfers are the person's; None if there is no wallet."""
        return await self._db.first(BOOK, of=account)

    async def balance(self, account: UUID) -> Balance:
        """What the person has; raises SubjectUnknown if there is no wallet."""
        balance = await self._db.first(BALANCE, account=account, at=self._db.clock.now())
        if balance is None:
            raise SubjectUnknown(account)
        return balance

    async def entries(
        self, account: UUID, generation: UUID | None, before: Position | None, rows: int
    ) -> list[Entry]:
        """At most `rows` transactions before a position, newest first; raises SubjectUnknown."""
        book = await self.book(account)
        if book is None:
            raise SubjectUnknown(account)
        at, transaction = before or NEWEST
        page = {"book": book, "before": at, "before_transaction": transaction, "rows": rows}
        if generation is None:
            return await self._db.all(ENTRIES, **page)
        return await self._db.all(ENTRIES_OF_GENERATION, generation=generation, **page)


class Turns:
    """Lets at most `width` statements at a time at one person's credits; the others wait here.

    Waiting in the database would hold a connection, and the more wait for one row there, the slower
    each gets (reference in tests/bench/ledger.py).
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._queues: dict[UUID, _Queue] = {}

    @asynccontextmanager
    async def take(self, key: UUID) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block."""
        queue = self._queues.setdefault(key, _Queue(asyncio.Semaphore(self._width)))
        queue.users += 1
        try:
            async with queue.turns:
                yield
        finally:
            queue.users -= 1
            if queue.users == 0:
                del self._queues[key]


@dataclass(slots=True)
class _Queue:
    turns: asyncio.Semaphore
    users: int = 0
