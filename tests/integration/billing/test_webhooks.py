"""A webhook as it comes in: who signed it is Stripe, and whoever leaves at that moment has left."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg
import grpc.aio
import pytest
from crafiq.billing.v1.billing_pb2 import ReceiveWebhookResponse
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from prometheus_client import REGISTRY
from pydantic import SecretStr

from chassis.db import Contended, Isolation
from chassis.errors import SubjectUnknown
from services.billing.adapters.stripe import stripe_at
from services.billing.domain import Notice, StripeSubscription
from services.billing.jobs import Payments
from services.billing.repository import Customers
from services.billing.repository.customers import MIRROR
from tests.integration.billing.conftest import People, Sql
from tests.integration.billing.test_erasing import leave, remains
from tests.integration.billing.till import (
    KEY,
    SUBSCRIBED,
    Bank,
    Till,
    till,
    till_bank,
    till_clock,
    till_database,
)
from tests.integration.billing.webhooks import about_customer, about_subscription, request, signature
from tests.integration.in_process import Neighbours
from tests.integration.leaving import isolation, later, naming
from tests.support import eventually

__all__ = ["isolation", "till", "till_bank", "till_clock", "till_database"]
erasing = pytest.mark.promise("9-cancel-sub", "9-delete-now")
NOBODYS = {"closings"}
"""Where the name of a customer at Stripe stays for a while, as nobody's."""
FENCED = {"tombstones", "inbox"}
"""Where it stands that somebody was erased."""


async def tell(
    calls: BillingServiceStub, body: bytes, signed: str | None = None, name: str = "stripe"
) -> Any:
    """As the gateway passes it on from somebody who is not signed in."""
    header = signature(body) if signed is None else signed
    metadata = (("stripe-signature", header),) if header else ()
    return await calls.ReceiveWebhook(request(body, f"webhooks/{name}"), metadata=metadata, timeout=10)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def paying(billing: Neighbours, bank: Bank, person: UUID) -> tuple[str, str]:
    """Who somebody is at Stripe, and what they subscribed to."""
    async with stripe_at(bank.url, SecretStr(KEY)) as stripe:
        customer = await Payments(Customers(billing.service.db), stripe).customer_for(person)
    return customer, await bank.subscribe(customer)


async def mirrored(billing: Neighbours, account: UUID) -> dict[str, str]:
    rows = await billing.service.db.all(SUBSCRIBED, account=account)
    return {row["subscription"]: row["status"] for row in rows}


async def test_what_stripe_signed_is_heeded_and_what_it_says_itself_is_not(
    billing: Neighbours, bank: Bank, person: UUID, person_calls: BillingServiceStub
) -> None:
    customer, subscription = await paying(billing, bank, person)
    await bank.become(subscription, "past_due")
    body = about_subscription(customer, subscription, status="active")
    for _ in range(2):
        assert await tell(person_calls, body) == ReceiveWebhookResponse()
    assert await mirrored(billing, person) == {subscription: "past_due"}
    await tell(person_calls, about_customer(customer))
    assert await Customers(billing.service.db).of(person) == customer


@pytest.mark.promise("8-least-priv", "8-no-guarantee")
async def test_what_nobody_signed_changes_nothing_and_is_nowhere_written(
    billing: Neighbours,
    bank: Bank,
    person: UUID,
    person_calls: BillingServiceStub,
    caplog: pytest.LogCaptureFixture,
) -> None:
    customer, subscription = await paying(billing, bank, person)
    body, other = about_subscription(customer, subscription), about_customer(customer)
    asked = len(await bank.requests(customer))
    with caplog.at_level(logging.DEBUG, "crafiq"):
        for header in (
            "",
            "t=1,v1=2",
            signature(other),
            signature(body, "whsec_x"),
            signature(body, age=301),
        ):
            code, words = await refusal(tell(person_calls, body, header))
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert "sign the body with the secret of this endpoint" in words
            assert not [each for each in (customer, subscription, "told@example.com") if each in words]
    assert await mirrored(billing, person) == {}
    assert len(await bank.requests(customer)) == asked
    assert not [each for each in (customer, subscription) if each in caplog.text]


async def test_nobody_else_has_a_webhook_here(person_calls: BillingServiceStub) -> None:
    body = about_customer("cus_1")
    code, words = await refusal(tell(person_calls, body, name="paypal"))
    assert (code, "webhooks/stripe" in words) == (grpc.StatusCode.NOT_FOUND, True)


async def test_all_that_has_no_meaning_here_is_taken_as_it_is(person_calls: BillingServiceStub) -> None:
    for body in (
        about_customer("cus_1", "customer.created"),
        about_customer("cus_nobody_knows"),
        b"[]",
        b"{",
    ):
        await tell(person_calls, body)


async def test_if_stripe_is_silent_it_is_asked_to_say_it_again(
    billing: Neighbours, bank: Bank, person: UUID, person_calls: BillingServiceStub
) -> None:
    customer, subscription = await paying(billing, bank, person)
    await bank.fault({"kind": "drop", "match": f"GET /v1/subscriptions/{subscription}"})
    code, _ = await refusal(tell(person_calls, body := about_subscription(customer, subscription)))
    assert code == grpc.StatusCode.UNAVAILABLE
    await tell(person_calls, body)
    assert await mirrored(billing, person) == {subscription: "active"}


class Races:
    """How many webhooks were about somebody, and how many about who had left by then."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> Counter[str]:
        about = ("somebody", "somebody who left", "nobody here")
        values = {
            each: REGISTRY.get_sample_value("crafiq_billing_notices_total", {"about": each}) for each in about
        }
        return Counter({each: int(value or 0) for each, value in values.items()})

    @property
    def ends(self) -> Counter[str]:
        return self._now() - self._before


async def names(sql: Any, *words: str) -> set[str]:
    """The tables in which one of these words stands."""
    tables = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {name: str(await sql.fetch(f'TABLE "{name}"')) for (name,) in tables}
    return {name for name, text in found.items() for word in words if word in text}


@erasing
async def test_who_leaves_between_stripes_answer_and_our_writing_it_down_leaves_nothing(
    till: Till, till_database: str, isolation: Isolation
) -> None:
    account, customer, (subscription,) = await till.payer()
    wanted = till.wanted(account)

    class Interrupted(Customers):
        async def mirror(self, *found: Any) -> bool:
            await till.eraser.through(wanted)
            return await super().mirror(*found)

    till.payments._customers = Interrupted(till.db)
    await till.payments.heed(Notice(customer, subscription))
    sql = await asyncpg.connect(till_database)
    assert await names(sql, customer, subscription) == NOBODYS
    assert not await naming(sql.fetch, account)
    await sql.close()
    assert [row["state"] for row in await till.closings_of(wanted)] == ["CLOSED"]
    assert await till.bank.status(subscription) == "canceled"


@erasing
@pytest.mark.parametrize("known", [False, True])
async def test_a_webhook_that_meets_an_erasure_waits_for_it_and_is_about_nobody(
    till: Till, till_database: str, isolation: Isolation, known: bool
) -> None:
    """`known`: it has been here before, so that there is a row which both are at."""
    account, customer, (subscription,) = await till.payer()
    if known:
        await till.payments.heed(Notice(customer, subscription))
    wanted, races = till.wanted(account), Races()
    async with till.db.transaction() as tx:
        await till.eraser.erase(tx, wanted)
        heeding = asyncio.create_task(till.payments.heed(Notice(customer, subscription)))
        await eventually(till.somebody_waits)
        assert not heeding.done()
    await heeding
    assert races.ends == {"somebody who left": 1}
    sql = await asyncpg.connect(till_database)
    assert await names(sql, subscription) == set()
    await sql.close()


@erasing
async def test_an_erasure_waits_for_a_webhook_at_work_and_takes_its_row_along(
    till: Till, isolation: Isolation
) -> None:
    account, customer, (subscription,) = await till.payer()
    found = {"subscription": subscription, "customer": customer, "status": "active", "period_end": None}
    async with till.db.transaction() as tx:
        await tx.first(MIRROR, **found, asked_at=till.clock.now(), ended=[])
        erasing = asyncio.create_task(till.eraser.through(till.wanted(account)))
        await eventually(till.somebody_waits)
        assert not erasing.done()
    await erasing
    assert await till.subscribed(account) == {}


@erasing
async def test_the_database_itself_refuses_what_comes_too_late(till: Till, isolation: Isolation) -> None:
    """Whoever forgot to look: the row has no subject that it could refer to."""
    account, _, (subscription,) = await till.payer()

    async def late() -> None:
        async with till.db.transaction() as tx:
            await tx.all(SUBSCRIBED, account=account)  # its view of things is from before
            await till.eraser.through(till.wanted(account))
            await tx.insert(
                StripeSubscription(
                    subscription=subscription, account=account, status="active", period_end=None,
                    asked_at=till.clock.now(),
                )
            )  # fmt: skip

    with pytest.raises((SubjectUnknown, Contended)):
        await late()
    assert await till.subscribed(account) == {}


@erasing
@pytest.mark.timeout(60)
async def test_webhooks_and_erasures_at_any_moment_leave_nothing_of_anybody(
    till: Till, till_database: str, isolation: Isolation
) -> None:
    chance, races = random.Random(20261127), Races()
    sql = await asyncpg.connect(till_database)

    async def race() -> None:
        account, customer, (subscription,) = await till.payer()
        book, wanted = await till.book(account), till.wanted(account)
        told = [Notice(customer, subscription)] * 3 + [Notice(customer)]
        heeding = [later(chance.uniform(0, 0.04), heeded(till, each)) for each in told]
        erasing = later(chance.uniform(0, 0.02), till.eraser.through(wanted))
        await asyncio.gather(*heeding, erasing)
        left.append((account, customer, subscription, book))

    left: list[tuple[UUID, str, str, UUID]] = []
    for number in range(12):
        if number >= 4 and min(races.ends["somebody"], races.ends["somebody who left"]) > 10:
            break
        await asyncio.gather(*(race() for _ in range(5)))
    await till.payments.sweep()  # who looked before all was gone has it looked at once more
    assert await names(sql, *(str(account) for account, *_ in left)) == FENCED
    assert await names(sql, *(name for _, *at_stripe, _ in left for name in at_stripe)) == NOBODYS
    await sql.close()
    for _, customer, subscription, book in left:
        assert [row["state"] for row in await till.closings(book)] == ["CLOSED"]
        assert await till.bank.deleted(customer)
        assert await till.bank.status(subscription) == "canceled"
    assert min(races.ends["somebody"], races.ends["somebody who left"]) > 10, races.ends  # the race was one


@erasing
@pytest.mark.timeout(60)
async def test_a_webhook_that_comes_in_while_its_person_leaves_is_answered_and_leaves_nothing(
    billing: Neighbours,
    bank: Bank,
    new_person: People,
    person_calls: BillingServiceStub,
    sql: Sql,
    isolation: Isolation,
) -> None:
    chance, races = random.Random(20261127), Races()

    async def race() -> None:
        person = await new_person()
        customer, subscription = await paying(billing, bank, person)
        bodies = [about_subscription(customer, subscription), about_customer(customer)] * 3
        told = [later(chance.uniform(0, 0.25), asked(person_calls, each)) for each in bodies]
        await asyncio.gather(*told, later(0.01, leave(billing, person)))
        assert await mirrored(billing, person) == {}
        assert await bank.deleted(customer)
        gone.append((person, customer, subscription))

    gone: list[tuple[UUID, str, str]] = []
    for _ in range(5):
        await asyncio.gather(*(race() for _ in range(6)))
        if min(races.ends["somebody"], races.ends["somebody who left"]) > 1:
            break
    assert min(races.ends["somebody"], races.ends["somebody who left"]) > 1, races.ends  # the race was one
    for person, customer, subscription in gone:
        await tell(person_calls, about_subscription(customer, subscription))
        assert await remains(sql, person) == {}
    assert await names(sql, *(name for _, *at_stripe in gone for name in at_stripe)) == NOBODYS


async def heeded(till: Till, notice: Notice) -> None:
    """As Stripe does, which says again what collided with others."""
    while True:
        try:
            return await till.payments.heed(notice)
        except Contended:
            continue


async def asked(calls: BillingServiceStub, body: bytes) -> None:
    """Call it when this is awaited, and not before; as Stripe does, which says again what collided."""
    while True:
        try:
            return await tell(calls, body)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ABORTED:
                raise
