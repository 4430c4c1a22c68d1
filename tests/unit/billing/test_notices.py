"""What Stripe says by itself: who signed it, and what it means here."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from services.billing.adapters.stripe import signed
from services.billing.domain import Notice, WebhookUnsigned, notice_of
from tests.integration.billing.webhooks import SECRET, about_customer, about_subscription, signature

BODY = about_subscription("cus_1", "sub_1")


def verified(body: bytes, header: str, secret: str = SECRET) -> Any:
    return signed(body, header, SecretStr(secret))


def test_what_stripe_signed_is_read() -> None:
    assert notice_of(verified(BODY, signature(BODY))) == Notice("cus_1", "sub_1")
    assert notice_of(verified(BODY, signature(BODY, age=290))) is not None


def test_it_is_signed_as_stripe_documents_it() -> None:
    """HMAC-SHA256 of the time, a dot and the body, in hex; made here without Stripe's own code."""
    now = str(int(time.time())).encode()
    digest = hmac.new(SECRET.encode(), now + b"." + BODY, hashlib.sha256).hexdigest()
    assert verified(BODY, f"t={now.decode()},v1={digest},v0=older") is not None


def test_while_the_secret_is_exchanged_the_old_and_the_new_are_good() -> None:
    """Stripe signs with both then, so that we may change over at any moment of that day."""
    both = f"{signature(BODY)},v1={signature(BODY, 'whsec_the_next').rpartition('v1=')[2]}"
    for secret in (SECRET, "whsec_the_next"):
        assert verified(BODY, both, secret) is not None
    with pytest.raises(WebhookUnsigned):
        verified(BODY, both, "whsec_of_long_ago")


# Signed when the test runs: what is older than five minutes is refused for that alone.
UNSIGNED: dict[str, tuple[bytes, Callable[[], str]]] = {
    "no header": (BODY, lambda: ""),
    "nonsense": (BODY, lambda: "nonsense"),
    "nothing in it": (BODY, lambda: "t=,v1="),
    "a time alone": (BODY, lambda: f"t={int(time.time())}"),
    "no hexadecimal": (BODY, lambda: f"t={int(time.time())},v1=\u00e9"),
    "another's secret": (BODY, lambda: signature(BODY, "whsec_of_somebody_else")),
    "old": (BODY, lambda: signature(BODY, age=310)),
    "another scheme": (BODY, lambda: signature(BODY).replace("v1", "v0")),
    "white space gone": (BODY.strip(), lambda: signature(BODY)),
    "another subscription": (BODY.replace(b"sub_1", b"sub_2"), lambda: signature(BODY)),
    "no text": (b"\xff" + BODY, lambda: signature(BODY)),
    "no body": (b"", lambda: signature(BODY)),
}


@pytest.mark.promise("8-least-priv")
@pytest.mark.parametrize(("body", "header"), UNSIGNED.values(), ids=UNSIGNED)
def test_what_nobody_signed_is_not(body: bytes, header: Callable[[], str]) -> None:
    with pytest.raises(WebhookUnsigned) as refused:
        verified(body, header())
    assert "sub_" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "secret of this endpoint" in str(refused.value)


@pytest.mark.parametrize("secret", ["", "  "])
def test_without_a_secret_nothing_is_believed(secret: str) -> None:
    with pytest.raises(WebhookUnsigned):
        verified(BODY, signature(BODY, secret), secret)


def test_what_is_signed_and_no_json_means_nothing() -> None:
    assert verified(b"{", signature(b"{")) is None


@pytest.mark.parametrize("kind", ["created", "updated", "deleted", "paused"])
def test_of_a_subscription_two_names_are_taken(kind: str) -> None:
    body = about_subscription("cus_1", "sub_1", kind, status="made up")
    assert notice_of(verified(body, signature(body))) == Notice("cus_1", "sub_1")


def test_of_a_customer_who_was_deleted_one_is() -> None:
    body = about_customer("cus_1")
    assert notice_of(verified(body, signature(body))) == Notice("cus_1")


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "customer.deleted",
        {},
        {"type": "customer.deleted"},
        {"type": "customer.deleted", "data": {"object": {"id": 7}}},
        {"type": "customer.deleted", "data": {"object": None}},
        {"type": "customer.created", "data": {"object": {"id": "cus_1"}}},
        {"type": "customer.subscription.updated", "data": {"object": {"id": "sub_1"}}},
        {"type": "customer.subscription.updated", "data": {"object": {"id": "sub_1", "customer": None}}},
        {"type": "invoice.paid", "data": {"object": {"id": "in_1", "customer": "cus_1"}}},
    ],
)
def test_all_else_means_nothing(event: Any) -> None:
    assert notice_of(event) is None
