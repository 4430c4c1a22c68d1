"""What Stripe says by itself, as Stripe writes and signs it."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import stripe
from crafiq.billing.v1 import billing_pb2
from google.api.httpbody_pb2 import HttpBody

SECRET = "whsec_only_a_test_and_stripe_know_it"


def about_customer(customer: str, kind: str = "customer.deleted") -> bytes:
    """Somebody was deleted, by Stripe's own words."""
    return event(kind, {"id": customer, "object": "customer", "email": "told@example.com"})


def about_subscription(customer: str, subscription: str, kind: str = "updated", **more: Any) -> bytes:
    """Something became of a subscription; `more` is what the body says of it."""
    shown = {"id": subscription, "object": "subscription", "customer": customer, "status": "active", **more}
    return event(f"customer.subscription.{kind}", shown)


def event(kind: str, shown: dict[str, Any]) -> bytes:
    """Spread over lines, with a blank one at the end: whoever reads and writes it again, has another body."""
    said = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "data": {"object": shown}}
    return json.dumps(said, indent=2).encode() + b"\n\n"


def signature(body: bytes, secret: str = SECRET, *, age: float = 0) -> str:
    """The header Stripe-Signature, made `age` seconds ago."""
    signs: Any = stripe.WebhookSignature
    return str(signs.generate_signature_header(body.decode(), secret, int(time.time() - age)))


def request(body: bytes, name: str = "webhooks/stripe") -> billing_pb2.ReceiveWebhookRequest:
    """As the gateway makes it of one."""
    return billing_pb2.ReceiveWebhookRequest(
        name=name, body=HttpBody(content_type="application/json", data=body)
    )
