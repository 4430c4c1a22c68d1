"""Somebody who pays by subscription deletes their account: Stripe has nobody left, and the case says so.

Meanwhile Stripe tells us what happens there, before and after.
"""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest
import stripe
from pydantic import SecretStr

from chassis.clock import Clock
from chassis.db import Database
from services.billing.adapters.stripe import stripe_at
from services.billing.domain import BOOKS_GROUND, kept_until
from services.billing.jobs import Payments
from services.billing.repository import Customers, Ledger
from tests.e2e.conftest import Join
from tests.e2e.remains import database_of
from tests.e2e.test_deletion import previewed
from tests.integration.billing.till import Bank
from tests.integration.billing.webhooks import about_customer, about_subscription, signature
from tests.running import Running
from tests.support import eventually


@pytest.mark.promise("9-cancel-sub", "9-delete-now", "9-tax", "11-erase")
async def test_deleting_the_account_cancels_and_deletes_at_stripe(
    platform: Running, join: Join, http: aiohttp.ClientSession
) -> None:
    person = await join()
    url = platform.endpoints["sandbox"]["stripe"]
    key = (platform.state / "secrets" / "billing" / "crafiq_stripe_api_key").read_text()
    customer = await paying(platform, url, key, UUID(person.account.partition("/")[2]))
    sdk = stripe.AIOHTTPClient(timeout=10)
    client = stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0, http_client=sdk)
    bank = Bank(url, http, client)
    signs = (platform.state / "secrets" / "billing" / "crafiq_stripe_webhook_secret").read_text()
    try:
        subscription = await bank.subscribe(customer)
        body = about_subscription(customer, subscription, "created")
        assert await told(platform, http, body, signature(body, signs)) == (200, {})
        assert await mirrored(platform, subscription) == ["active"]
        plan = await previewed(person)
        (kept,) = [each for each in plan["buckets"] if each["ground"] == BOOKS_GROUND]
        assert (kept["fate"], kept["until"]) == ("RETAINED_UNTIL", f"{kept_until(datetime.now(UTC)):%FT%TZ}")
        assert kept["policyText"].startswith(
            "Payments and records: We keep transaction and invoicing records"
        )
        proof = await person.api.post("/v1/sessions:reauthenticate", password=person.password)
        secret = secrets.token_urlsafe(24)
        asked = {
            "reauthToken": proof["reauthToken"],
            "planHash": plan["planHash"],
            "requestId": str(uuid.uuid4()),
            "receiptSecret": secret,
        }
        erasure = (await person.api.post("/v1/accounts/me:delete", **asked))["erasure"]

        async def done() -> bool:
            headers = {"x-receipt-secret": secret}
            async with http.get(f"{platform.gateway}/v1/{erasure}", headers=headers) as answer:
                case: dict[str, Any] = await answer.json()
            (billing,) = [each for each in case["holders"] if each["holder"] == "billing"]
            return bool(billing["state"] == "VERIFIED" and billing.get("leftNow") in (None, "0"))

        await eventually(done, timeout=30)
        assert await bank.deleted(customer)
        assert await bank.status(subscription) == "canceled"
        # As late as Stripe may be: days.
        for late in (body, about_customer(customer)):
            assert await told(platform, http, late, signature(late, signs)) == (200, {})
        assert await mirrored(platform, subscription) == []
    finally:
        await sdk.close_async()


@pytest.mark.promise("8-least-priv")
async def test_what_stripe_says_is_believed_as_it_was_signed_byte_by_byte(
    platform: Running, http: aiohttp.ClientSession
) -> None:
    signs = (platform.state / "secrets" / "billing" / "crafiq_stripe_webhook_secret").read_text()
    body = about_customer("cus_of_nobody", "customer.created")
    assert await told(platform, http, body, signature(body, signs)) == (200, {})
    for other, header in ((body.strip(), signature(body, signs)), (body, signature(body)), (body, "")):
        status, answer = await told(platform, http, other, header)
        assert (status, answer["details"][0]["reason"]) == (400, "WEBHOOK_UNSIGNED")
    large = about_customer("x" * 262_144)
    status, answer = await told(platform, http, large, signature(large, signs))
    assert (status, answer["details"][0]["reason"]) == (413, "BODY_TOO_LARGE")
    status, answer = await told(platform, http, body, signature(body, signs), "paypal")
    assert (status, answer["details"][0]["reason"]) == (404, "WEBHOOK_UNKNOWN")


async def told(
    platform: Running, http: aiohttp.ClientSession, body: bytes, header: str, vendor: str = "stripe"
) -> tuple[int, Any]:
    """The answer to a webhook, as Stripe gets it."""
    headers = {"stripe-signature": header, "content-type": "application/json; charset=utf-8"}
    async with http.post(f"{platform.gateway}/v1/webhooks/{vendor}", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def mirrored(platform: Running, subscription: str) -> list[str]:
    """Where a subscription stands, as billing knows it."""
    sql = await asyncpg.connect(database_of(platform, "billing"))
    rows = await sql.fetch("SELECT status FROM stripe_subscriptions WHERE subscription = $1", subscription)
    await sql.close()
    return [row["status"] for row in rows]


async def paying(platform: Running, url: str, key: str, account: UUID) -> str:
    """Who they are at Stripe, as the coming checkout will have billing say."""
    database = re.sub(r"/[^/?]*\?", "/billing?", platform.endpoints["postgres"], count=1)
    opened = Database.open(database, clock=Clock(), new_id=uuid.uuid4, request_key=b"k" * 32, size=(1, 1))
    async with opened as db, stripe_at(url, SecretStr(key)) as there:
        payments, ledger = Payments(Customers(db), there), Ledger(db)

        async def customer() -> str | None:
            # As soon as billing has heard of them.
            return await payments.customer_for(account) if await ledger.book(account) else None

        return await eventually(customer) or ""
