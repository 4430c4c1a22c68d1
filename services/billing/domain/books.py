"""Books whose person was erased: kept as long as the law demands, nobody's, and gone on their day."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint

from promises.inventory import plain
from services.billing.domain.rows import BOOK, MOMENT, Row

YEARS_OF_BOOKS = 10
"""How many whole calendar years books are kept: the longest period that a law sets them.

AO § 147 (3) and HGB § 257 (4): ten years for books and records, eight for the vouchers of entries. This
ledger is both at once, so that the longer one counts.
"""
BOOKS_GROUND = "as required by applicable law (e.g., tax and accounting)"
"""The ground, in the words of section 9 of the policy: a plan finds the sentence by them."""
CARRIED = UUID(int=0)
"""The house's own book: what is removed is carried forward into it, account by account."""


class ClosedBook(Row, table=True):
    """A book that is nobody's any more, and when it ends. Who removes the row removes the book with it.

    It says nothing else: no moment of the erasure, by which somebody might find whose book it was.
    """

    __tablename__ = "closed_books"
    __table_args__ = (CheckConstraint(f"book <> '{CARRIED}'::uuid", name="ck_closed_books_book"),)

    book: UUID = plain(BOOK, primary_key=True)
    until: datetime = plain(
        "the first moment of a year, the same for all who left in one year", MOMENT, index=True
    )


def kept_until(deleted_at: datetime) -> datetime:
    """When the book of somebody whose account was deleted then is over: at the first moment of a year.

    The period begins with the end of the calendar year of the last entry (AO § 147 (4), HGB § 257 (5)), which
    is the year of the deletion: nothing is ordered afterwards. Years are those of UTC.
    """
    return datetime(deleted_at.astimezone(UTC).year + 1 + YEARS_OF_BOOKS, 1, 1, tzinfo=UTC)
