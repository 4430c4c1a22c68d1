"""Who somebody is at Stripe, and which customers there must not stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, Text

from chassis.errors import Aborted, FailedPrecondition, Refusal, Unavailable
from promises.inventory import DELETE, plain, subject
from services.billing.domain.rows import BOOK, LINK, MOMENT, Row

OPENING_LASTS = timedelta(minutes=10)
"""How long a customer may be on its way to being somebody's; much longer than Stripe is waited for."""
KEYS_LAST = timedelta(hours=23)
"""How long Stripe surely remembers an Idempotency-Key (24 hours), and a margin."""
INDEXED_AFTER = timedelta(minutes=2)
"""When Stripe's search surely finds what was made (within a minute), and a margin."""
CLOSED_KEPT = timedelta(days=30)
"""How long it is known that a customer was closed."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)


class StripeUnavailable(Unavailable):
    """Stripe did not answer, or not now. What was asked may have been done."""

    sentence = "Stripe does not answer right now; ask again in a moment."


class StripeFailed(Refusal):
    """Stripe says that it failed; what was asked may have been done.

    Under the same Idempotency-Key it would say so again for a day, so that asking again at once is of no use.
    """

    status = "UNAVAILABLE"
    sentence = "Stripe failed (HTTP {status}); ask again in a few minutes."


class StripeRefused(FailedPrecondition):
    """Stripe will not do it, however often it is asked: somebody has to look at the key or the request."""

    sentence = "Stripe refuses this (HTTP {status}, {code}); we have to look into it."


class NotAtStripe(StripeRefused):
    """Stripe knows no such thing. A deleted customer it knows as deleted, unless the key is another's."""


class CustomerClosing(Aborted):
    """What an earlier try left at Stripe is removed first."""

    sentence = "An earlier try to pay is being cleaned up; ask again in a few minutes."


class StripeCustomer(Row, table=True):
    """Who somebody is at Stripe: the only row that knows."""

    __tablename__ = "stripe_customers"

    account: UUID = subject(DELETE, primary_key=True)
    customer: str = LINK.column(unique=True)
    created_at: datetime = LINK.column(MOMENT)


class ClosingState(StrEnum):
    """OPENING ends in ADOPTED (with a row of StripeCustomer, in one commit) or in WANTED, WANTED in CLOSED.

    ADOPTED ends in WANTED when its person is erased, in CLOSED when others deleted the customer at Stripe.
    CLOSED begins again if somebody tries once more; it is WANTED again if something is found to be left.
    """

    OPENING = "OPENING"
    ADOPTED = "ADOPTED"
    WANTED = "WANTED"
    CLOSED = "CLOSED"


class Closing(Row, table=True):
    """A customer at Stripe that will have to be closed: when its person is erased, or if it becomes nobody's.

    Written before Stripe is asked to make one, so that whatever dies in between, it is not forgotten; and
    changed by whoever makes, adopts or closes one, so that no two of them miss each other. `attempt` is
    part of the Idempotency-Key: a book whose customer was closed gets its next under another.
    """

    __tablename__ = "closings"
    __table_args__ = (Index("ix_closings_due", "state", "due"),)

    book: UUID = plain(BOOK, primary_key=True)
    attempt: int = plain("how many customers were made for the book before, and closed")
    customer: str | None = plain(
        "Stripe's id of one who is nobody's here; Stripe knows nothing else of them", index=True
    )
    erasure: UUID | None = plain("the case's id; nothing in it says whose it was", index=True)
    state: ClosingState = plain("where it stands", Text)
    tries: int = plain("how often it did not get through")
    cause: str = plain("a constant: why it did not get through")
    asked_at: datetime = plain("when Stripe was first asked to make it", MOMENT)
    due: datetime = plain(
        "when it is given up (OPENING); tried, and Stripe's search believed (WANTED); forgotten (CLOSED)",
        MOMENT,
    )

    def key_lasts(self, now: datetime) -> bool:
        """Whether Stripe knows by its key that it was asked before."""
        return now < self.asked_at + KEYS_LAST

    def indexed(self, now: datetime) -> bool:
        """Whether Stripe's search finds whatever was made."""
        return now >= self.due

    def pause(self) -> timedelta:
        """How long to wait after this failure."""
        doubled: timedelta = FIRST_PAUSE * 2 ** min(self.tries, 12)
        return min(doubled, LONGEST_PAUSE)
