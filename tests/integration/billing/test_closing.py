"""Who is erased has no customer at Stripe any more, and nothing is subscribed; whatever stands in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import pytest
from crafiq.promises.v1 import promises_pb2

from promises.eraser import LEASE, Eraser
from promises.erasing import Wanted
from services.billing import jobs
from services.billing.adapters import stripe as adapter
from services.billing.domain import StripeFailed, StripeRefused, StripeUnavailable
from tests.integration.billing.till import (
    SECONDS,
    Till,
    a_till,
    stripe_sandbox,
    till,
    till_bank,
    till_clock,
    till_database,
)
from tests.integration.billing.victims import killed_once
from tests.support import eventually

__all__ = ["till", "till_bank", "till_clock", "till_database"]
promise = pytest.mark.promise("9-cancel-sub", "9-delete-now", "11-erase")


async def gone(till: Till, customer: str, subscriptions: list[str]) -> None:
    """Deleted at Stripe, and everything cancelled, once and without a bill."""
    assert await till.bank.deleted(customer)
    for each in subscriptions:
        assert await till.bank.status(each) == "canceled"


async def left(till: Till, wanted: Wanted) -> dict[str, int]:
    """What a second look finds."""
    findings = await till.holdings.findings(wanted.account, wanted.erasure)
    return {each.category: each.count for each in findings.left}


@promise
@pytest.mark.parametrize("subscriptions", [0, 1, 3])
async def test_subscriptions_are_cancelled_and_the_customer_deleted(till: Till, subscriptions: int) -> None:
    account, customer, subscribed = await till.payer(subscriptions)
    _, other, (others,) = await till.payer()
    wanted = till.wanted(account)
    await till.eraser.through(wanted)
    await gone(till, customer, subscribed)
    assert await left(till, wanted) == {}
    assert not await till.bank.deleted(other)
    assert await till.bank.status(others) == "active"
    cancelled = [row["path"] for row in await till.bank.requests("/v1/subscriptions/", "DELETE")]
    assert sorted(cancelled) == sorted(f"/v1/subscriptions/{each}" for each in subscribed)


@promise
@pytest.mark.promise("9-tax")
async def test_nothing_is_charged_or_credited_by_it_and_invoices_stay(till: Till) -> None:
    account, customer, (subscription,) = await till.payer()
    book = await till.book(account)
    before = (await till.bank.client.v1.invoices.list_async({"customer": customer})).to_dict()
    await till.eraser.through(till.wanted(account))
    (row,) = await till.bank.requests(subscription, "DELETE")
    assert row["parameters"] == {"prorate": "false", "invoice_now": "false"}
    after = (await till.bank.client.v1.invoices.list_async({"customer": customer})).to_dict()
    assert after == before
    assert [each["status"] for each in after["data"]] == ["paid"]
    # Our own books keep what was booked, as nobody's.
    assert await till.ledger.book(account) is None
    assert await till.ledger_of(book) == [100]


@promise
@pytest.mark.parametrize("status", ["past_due", "unpaid"])
async def test_what_is_not_paid_is_cancelled_too(till: Till, status: str) -> None:
    account, customer, (subscription,) = await till.payer()
    await till.bank.become(subscription, status)
    await till.eraser.through(till.wanted(account))
    await gone(till, customer, [subscription])


@promise
async def test_what_never_began_or_has_ended_stands_in_nobodys_way(till: Till) -> None:
    account, customer, (ended, living) = await till.payer(2)
    await till.bank.client.v1.subscriptions.cancel_async(ended)
    expired = await till.bank.subscribe(customer, payment_behavior="default_incomplete")
    await till.bank.become(expired, "incomplete_expired")
    trial = await till.bank.subscribe(customer, trial_period_days=7)
    await till.eraser.through(till.wanted(account))
    await gone(till, customer, [ended, living, trial])
    assert await till.bank.status(expired) == "incomplete_expired"
    assert len(await till.bank.requests(ended, "DELETE")) == 1, "only the one before"


@promise
async def test_more_subscriptions_than_a_page_has(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAGE", 2)
    account, customer, subscribed = await till.payer(5)
    await till.eraser.through(till.wanted(account))
    await gone(till, customer, subscribed)


@promise
async def test_somebody_who_never_paid_is_not_asked_about(till: Till) -> None:
    account = await till.person()
    await till.bank.fault({"kind": "500", "times": None})
    wanted = till.wanted(account)
    assert (await till.holdings.plan(account)).holder == "billing"
    await till.eraser.through(wanted)
    assert await left(till, wanted) == {}
    assert await till.bank.requests("/v1/") == []


@promise
async def test_asked_for_twice_it_is_done_once(till: Till) -> None:
    account, customer, subscribed = await till.payer(2)
    wanted = till.wanted(account)
    await asyncio.gather(*(till.eraser.through(wanted) for _ in range(2)))
    await till.eraser.through(wanted)
    await gone(till, customer, subscribed)
    assert await left(till, wanted) == {}
    (row,) = await till.closings_of(wanted)
    assert (row["state"], row["customer"]) == ("CLOSED", customer)


@promise
async def test_what_others_did_at_stripe_before_is_fine(till: Till) -> None:
    account, customer, subscribed = await till.payer(2)
    await till.bank.client.v1.customers.delete_async(customer)
    wanted = till.wanted(account)
    await till.eraser.through(wanted)
    await gone(till, customer, subscribed)
    assert await left(till, wanted) == {}


@promise
async def test_a_subscription_cancelled_between_the_list_and_the_cancelling_is_fine(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, customer, subscribed = await till.payer(2)
    listed = till.payments._stripe.subscriptions

    async def cancelled_then(whose: str) -> list[str]:
        found = await listed(whose)
        await till.bank.client.v1.subscriptions.cancel_async(subscribed[0])
        return found

    monkeypatch.setattr(till.payments._stripe, "subscriptions", cancelled_then)
    await till.eraser.through(till.wanted(account))
    await gone(till, customer, subscribed)


FAULTS = [
    ("drop", StripeUnavailable),
    ("429", StripeUnavailable),
    ("503", StripeUnavailable),
    ("500", StripeFailed),
    ("accepted_500", StripeFailed),
    ("accepted_answer_lost", StripeUnavailable),
    ("garbage", StripeFailed),
    ("delay", StripeUnavailable),
    ("403", StripeRefused),
]


@promise
@pytest.mark.parametrize(
    "where",
    [
        "DELETE /v1/subscriptions",
        pytest.param("GET /v1/subscriptions", marks=pytest.mark.slow),
        pytest.param("DELETE /v1/customers", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("kind", "raised"), FAULTS)
async def test_what_goes_wrong_on_the_way_is_told_and_the_next_try_gets_through(
    till: Till, till_database: str, kind: str, raised: type[Exception], where: str
) -> None:
    account, customer, subscribed = await till.payer(2)
    wanted, eraser = till.wanted(account), till.eraser
    await till.bank.fault({"kind": kind, "match": where, "seconds": 1})
    patience = 0.5 if kind == "delay" else SECONDS
    async with a_till(till_database, till.clock, till.bank, seconds=patience) as unlucky:
        await till.ask(wanted)
        with pytest.raises(raised) as told:
            await unlucky.eraser.through(wanted)
    assert "cus_" not in str(told.value)
    assert (await till.closings_of(wanted))[0]["cause"] == told.value.reason  # type: ignore[attr-defined]
    assert await till.under_way(account) is not None, "it is not forgotten"
    await eraser.through(wanted, gone=True)
    await gone(till, customer, subscribed)
    assert await till.under_way(account) is None
    assert [(row["state"], row["cause"]) for row in await till.closings_of(wanted)] == [("CLOSED", "")]
    assert await left(till, wanted) == {}


@promise
async def test_stripe_down_holds_an_erasure_up_until_it_is_back(till: Till, till_database: str) -> None:
    account, customer, subscribed = await till.payer()
    wanted = till.wanted(account)
    async with a_till(till_database, till.clock, till.bank, url="http://127.0.0.1:9") as cut_off:
        with pytest.raises(StripeUnavailable):
            await cut_off.eraser.through(wanted)
        # The rows are gone at once; what is left is known, and a second look says that it can't look.
        assert await till.ledger.book(account) is None
        with pytest.raises(StripeUnavailable):
            await cut_off.holdings.findings(account, wanted.erasure)
    assert await left(till, wanted) == {"PAYMENT": 2}
    await till.eraser.through(wanted, gone=True)
    await gone(till, customer, subscribed)


@promise
async def test_in_the_background_it_is_tried_again_later_and_later_and_told_why(till: Till) -> None:
    account, customer, subscribed = await till.payer()
    wanted, eraser = till.wanted(account), till.eraser
    await till.bank.fault({"kind": "403", "match": "DELETE /v1/subscriptions", "times": 3})
    async with at_work(eraser):
        async with till.db.transaction() as tx:
            await eraser.ask(tx, wanted)
        standing = await eventually(lambda: tried(eraser, account, 1))
        assert (standing.progress, standing.cause) == (promises_pb2.ROWS_GONE, "STRIPE_REFUSED")

        async def done() -> bool:
            till.clock.forward(timedelta(seconds=1))
            return (await eraser.standing(account)).progress == promises_pb2.FINISHED

        await eventually(done)
    await gone(till, customer, subscribed)
    assert len(await till.bank.requests(subscribed[0], "DELETE")) == 4


@asynccontextmanager
async def at_work(eraser: Eraser) -> AsyncIterator[None]:
    """The eraser's worker, while the block lasts."""
    task = asyncio.create_task(eraser.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def tried(eraser: Eraser, account: UUID, times: int) -> promises_pb2.Standing | None:
    standing = await eraser.standing(account)
    return standing if standing.tries >= times else None


@promise
async def test_a_customer_that_stripe_has_never_heard_of_is_no_proof_that_nobody_is_there(
    till: Till, till_database: str
) -> None:
    """As with the key of another account of Stripe's, or of its test mode."""
    account, customer, subscribed = await till.payer()
    wanted = till.wanted(account)
    async with (
        stripe_sandbox(till.clock.now) as another,
        a_till(till_database, till.clock, till.bank, url=another.url) as mistaken,
    ):
        with pytest.raises(StripeRefused) as told:
            await mistaken.eraser.through(wanted)
        assert told.value.reason == "NOT_AT_STRIPE"
        with pytest.raises(StripeRefused):
            await mistaken.holdings.findings(account, wanted.erasure)
    assert not await till.bank.deleted(customer)
    await till.eraser.through(wanted, gone=True)
    await gone(till, customer, subscribed)


@promise
async def test_a_process_killed_between_cancelling_and_deleting_is_succeeded_by_another(
    till: Till, till_database: str
) -> None:
    account, customer, (subscription,) = await till.payer()
    wanted = till.wanted(account)
    await till.bank.fault({"kind": "delay", "seconds": 30, "match": "DELETE /v1/subscriptions"})
    async with killed_once("erase", till_database, till.bank.url, account, wanted.erasure):
        await eventually(lambda: is_cancelled(till, subscription), timeout=40)
    assert not await till.bank.deleted(customer)
    assert await left(till, wanted) == {"PAYMENT": 1}
    eraser = till.eraser
    async with at_work(eraser):

        async def done() -> bool:
            till.clock.forward(LEASE)
            return (await eraser.standing(account)).progress == promises_pb2.FINISHED

        await eventually(done)
    await gone(till, customer, [subscription])


async def is_cancelled(till: Till, subscription: str) -> bool:
    return await till.bank.status(subscription) == "canceled"


@promise
@pytest.mark.promise("9-delete-preview")
async def test_a_plan_counts_the_customer_and_what_is_subscribed(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOKING_SECONDS", 15.0)
    account, _, _ = await till.payer(3)
    rows = 1 + 1  # a wallet, and the row that says who they are at Stripe
    assert await planned(till, account) == rows + 1 + 3
    nobody = await till.person()
    assert await planned(till, nobody) == 1


@promise
@pytest.mark.parametrize("kind", ["drop", "delay"])
async def test_a_plan_does_not_wait_for_stripe(till: Till, kind: str) -> None:
    account, _, _ = await till.payer(3)
    await till.bank.fault({"kind": kind, "match": "GET /v1/subscriptions", "seconds": 30})
    assert jobs.LOOKING_SECONDS < 2, "whoever asks for all previews waits two seconds"
    async with asyncio.timeout(6):
        assert await planned(till, account) == 1 + 1 + 1, "the customer is known here"


async def planned(till: Till, account: UUID) -> int:
    """How many things of payment would be erased."""
    plan = await till.holdings.plan(account)
    (bucket,) = [each for each in plan.buckets if each.fate == promises_pb2.ERASED_NOW]
    return sum(each.count for each in bucket.counts if each.category == "PAYMENT")


@promise
async def test_everybody_who_bears_the_name_of_the_book_goes(till: Till) -> None:
    """A restored backup knows nothing of who was made after it, and lets another be made."""
    account, customer, subscribed = await till.payer()
    lost = await till.bank.client.v1.customers.create_async(
        {"metadata": {"wallet": str(await till.book(account))}}
    )
    subscribed.append(await till.bank.subscribe(lost.id))
    wanted = till.wanted(account)
    await till.bank.fault({"kind": "503", "match": f"DELETE /v1/customers/{lost.id}"})
    with pytest.raises(StripeUnavailable):
        await till.eraser.through(wanted)
    assert (await left(till, wanted))["PAYMENT"] >= 1
    await till.eraser.through(wanted, gone=True)
    await gone(till, customer, subscribed)
    assert await till.bank.deleted(lost.id)
    assert await left(till, wanted) == {}


@promise
async def test_asked_again_because_something_was_found_it_looks_again(till: Till) -> None:
    account, customer, subscribed = await till.payer()
    wanted = till.wanted(account)
    await till.eraser.through(wanted)
    requests = len(await till.bank.requests(customer, "DELETE"))
    await till.payments.remove(wanted)
    assert len(await till.bank.requests(customer, "DELETE")) == requests + 1
    await gone(till, customer, subscribed)


@promise
async def test_no_log_says_who_somebody_was_at_stripe(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    account, customer, (subscription,) = await till.payer()
    eraser = till.eraser
    with caplog.at_level(logging.INFO):
        await eraser.through(till.wanted(account))
    assert customer not in caplog.text
    assert subscription not in caplog.text
