"""What Stripe says has changed, and what somebody subscribed to as it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.errors import InvalidArgument, NotFound
from promises.inventory import DELETE, subject
from services.billing.domain.rows import LINK, MOMENT, Row

WEBHOOK = "webhooks/stripe"
ENDED = ("canceled", "incomplete_expired")
"""Where a subscription may come to stand and never leaves again."""


class WebhookUnknown(NotFound):
    """Nobody of that name tells us anything."""

    sentence = f"There is no webhook of this name; there is {WEBHOOK}."


class WebhookUnsigned(InvalidArgument):
    """The signature is missing, another's, of another body, or too old."""

    sentence = (
        "The header Stripe-Signature does not fit this body, or is older than 5 minutes: sign the body with"
        " the secret of this endpoint, and send it at once, byte by byte as it was signed."
    )


class StripeSubscription(Row, table=True):
    """What somebody subscribed to, as Stripe had it when it was last asked."""

    __tablename__ = "stripe_subscriptions"

    subscription: str = LINK.column(primary_key=True)
    account: UUID = subject(DELETE)
    status: str = LINK.column()
    period_end: datetime | None = LINK.column(MOMENT)
    asked_at: datetime = LINK.column(MOMENT)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription as Stripe has it; `period_end` is that of what ends first in it."""

    subscription: str
    customer: str
    status: str
    period_end: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something changed about a customer: about this subscription of theirs, or (None) they were deleted.

    Names, and nothing else: notices come late, twice and out of order, so how things stand is asked.
    """

    customer: str
    subscription: str | None = None


def notice_of(event: Any) -> Notice | None:
    """What an event of Stripe's means here; None for all that we have no use for."""
    match event:
        case {"type": "customer.deleted", "data": {"object": {"id": str(customer)}}}:
            return Notice(customer)
        case {"type": str(kind), "data": {"object": {"id": str(subscription), "customer": str(customer)}}}:
            # Paused, resumed, a trial that ends: whatever it is, it is looked up.
            return Notice(customer, subscription) if kind.startswith("customer.subscription.") else None
    return None
