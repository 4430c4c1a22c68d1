"""Every query about whole books: how large, closed with their person, removed on their day."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database, Statement, Transaction, scalar
from promises.retention import in_batches
from services.billing.domain import kept_until

BATCH = 20
"""Books that one statement removes at most: one may have a hundred thousand entries."""
# A hold has entries of its own, and they name its generation.
SIZE = Statement(
    text("""
    SELECT (SELECT count(*) FROM lots JOIN wallets USING (book) WHERE account = :account)
        + count(*) + count(DISTINCT generation)
    FROM transfers JOIN wallets USING (book) WHERE account = :account
    """),
    scalar,
)
CLOSE = Statement(
    text(
        "INSERT INTO closed_books (book, until) SELECT book, :until FROM wallets WHERE account = :account"
        " ON CONFLICT DO NOTHING"
    )
)
# The database takes the rest along (`migrations/`). Where something is held, that settles first.
REMOVE = Statement(
    text("""
    DELETE FROM closed_books WHERE book IN (
        SELECT book FROM closed_books
        WHERE until <= :now
            AND NOT EXISTS (SELECT FROM lots WHERE lots.book = closed_books.book AND lots.held > 0)
        ORDER BY until LIMIT :books FOR UPDATE SKIP LOCKED
    )
    """)
)


class Books:
    """Rows of `closed_books`, and with them those of the ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self._db.clock.now()

    async def size(self, account: UUID) -> int:
        """How many records there are of a person: lots, transfers, holds."""
        found: int = await self._db.one(SIZE, account=account)
        return found

    async def close(self, tx: Transaction, account: UUID, deleted_at: datetime) -> None:
        """Somebody is being erased: from now on their book is nobody's, and has a date."""
        await tx.execute(CLOSE, account=account, until=kept_until(deleted_at))

    async def sweep(self, batch: int = BATCH) -> int:
        """Remove those whose day has come; answers how many.

        What they add up to is carried forward, so that the house's sums stay. Raises
        asyncpg.RestrictViolationError if the database's own clock does not agree.
        """
        return await in_batches(self._db, REMOVE, now=self.now, books=batch)
