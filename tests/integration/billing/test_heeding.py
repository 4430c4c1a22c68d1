"""Stripe says that something changed: what it has now is had here, however late, often and out of order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from services.billing import jobs
from services.billing.domain import CLOSED_KEPT, Notice, StripeUnavailable, Subscribed
from services.billing.repository import Customers
from tests.integration.billing.till import (
    FORGET_CLOSINGS,
    Till,
    a_till,
    stripe_sandbox,
    till,
    till_bank,
    till_clock,
    till_database,
)

__all__ = ["till", "till_bank", "till_clock", "till_database"]
erasing = pytest.mark.promise("9-cancel-sub", "9-delete-now", "11-erase")


async def states(till: Till, book: UUID) -> list[tuple[str, str | None]]:
    """Where closing a book's customer stands, and who it is."""
    return [(row["state"], row["customer"]) for row in await till.closings(book)]


async def test_how_a_subscription_stands_is_what_stripe_says_now(till: Till) -> None:
    account, customer, (subscription, other) = await till.payer(2)
    assert await till.subscribed(account) == {}
    await till.payments.heed(Notice(customer, subscription))
    assert await till.subscribed(account) == {subscription: "active"}
    await till.bank.become(subscription, "past_due")
    for _ in range(2):
        await till.payments.heed(Notice(customer, subscription))
    assert await till.subscribed(account) == {subscription: "past_due"}
    await till.payments.heed(Notice(customer, other))
    assert await till.subscribed(account) == {subscription: "past_due", other: "active"}
    await till.bank.client.v1.subscriptions.cancel_async(subscription)
    # Whatever it was that was said: it is over.
    await till.payments.heed(Notice(customer, subscription))
    assert await till.subscribed(account) == {subscription: "canceled", other: "active"}


async def test_its_end_is_that_of_the_period_that_was_paid(till: Till, till_database: str) -> None:
    account, customer, (subscription,) = await till.payer()
    await till.payments.heed(Notice(customer, subscription))
    shown = await till.bank.client.v1.subscriptions.retrieve_async(subscription)
    connection = await asyncpg.connect(till_database)
    ends = await connection.fetchval(
        "SELECT period_end FROM stripe_subscriptions WHERE account = $1", account
    )
    await connection.close()
    assert ends == datetime.fromtimestamp(shown.items.data[0].current_period_end, UTC)


async def test_who_asked_later_is_right_and_what_has_ended_stays_so(till: Till) -> None:
    """Two notices at once: Stripe answers one, then the other, and they are written the other way round."""
    account, customer, (subscription,) = await till.payer()
    customers, now = Customers(till.db), till.clock.now()

    async def written(status: str, after: int) -> str:
        found = Subscribed(subscription, customer, status, None)
        assert await customers.mirror(found, now + timedelta(seconds=after))
        return (await till.subscribed(account))[subscription]

    assert await written("active", 1) == "active"
    assert await written("past_due", 3) == "past_due"
    assert await written("active", 2) == "past_due"
    assert await written("active", 4) == "active"
    assert await written("canceled", 5) == "canceled"
    assert await written("active", 6) == "canceled"


async def test_of_somebody_who_is_nobody_here_nothing_is_asked_or_written(till: Till) -> None:
    stranger = await till.bank.client.v1.customers.create_async({})
    subscription = await till.bank.subscribe(stranger.id)
    before = len(await till.bank.requests("", "GET"))
    for notice in (Notice(stranger.id, subscription), Notice(stranger.id), Notice("cus_never")):
        await till.payments.heed(notice)
    assert len(await till.bank.requests("", "GET")) == before
    assert not await Customers(till.db).of_nobody(stranger.id)


async def test_who_others_deleted_at_stripe_is_no_customer_any_more_and_may_become_one_again(
    till: Till,
) -> None:
    account, customer, (subscription,) = await till.payer()
    _, other, (others,) = neighbour = await till.payer()
    book = await till.book(account)
    for notice in (Notice(customer, subscription), Notice(other, others)):
        await till.payments.heed(notice)
    await till.bank.client.v1.customers.delete_async(customer)
    for notice in (Notice(customer), Notice(customer), Notice(customer, subscription)):
        await till.payments.heed(notice)
    assert await Customers(till.db).of(account) is None
    assert await till.subscribed(account) == {}
    assert await states(till, book) == [("CLOSED", customer)]
    assert await till.subscribed(neighbour[0]) == {others: "active"}
    again = await till.payments.customer_for(account)
    assert again != customer
    assert await till.bank.customers(book) == [again]
    # What is said about the first one is no news of the second.
    await till.payments.heed(Notice(customer))
    assert await Customers(till.db).of(account) == again
    assert await states(till, book) == [("ADOPTED", None)]


async def test_who_looked_before_closes_nothing_that_has_begun_since(till: Till) -> None:
    account, customer, _ = await till.payer(0)
    book, customers = await till.book(account), Customers(till.db)
    await till.bank.client.v1.customers.delete_async(customer)
    await till.payments.heed(Notice(customer))
    closing = await customers.of_nobody(customer)
    assert closing is not None
    assert await customers.open(account) is not None
    await customers.closed(closing)
    assert await states(till, book) == [("OPENING", None)]


async def test_a_new_key_is_used_although_a_backup_has_forgotten_the_first(till: Till) -> None:
    """Under the first one Stripe would name the customer who was deleted, for a day."""
    account, customer, _ = await till.payer(0)
    await till.db.execute(FORGET_CLOSINGS, book=await till.book(account))
    await till.bank.client.v1.customers.delete_async(customer)
    await till.payments.heed(Notice(customer))
    again = await till.payments.customer_for(account)
    assert not await till.bank.deleted(again)


async def test_who_is_not_deleted_stays_whatever_is_said(till: Till) -> None:
    account, customer, _ = await till.payer(0)
    await till.payments.heed(Notice(customer))
    assert await Customers(till.db).of(account) == customer


@pytest.mark.parametrize("kind", ["drop", "429", "503", "403"])
@pytest.mark.parametrize("gone", [False, True], ids=["somebody", "who left"])
async def test_if_stripe_does_not_say_how_it_stands_it_is_to_tell_us_again(
    till: Till, kind: str, gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    account, customer, (subscription,) = await till.payer()
    if gone:
        await till.eraser.through(till.wanted(account))
    await till.bank.fault({"kind": kind, "match": "GET /v1/", "times": None})
    with pytest.raises(StripeUnavailable):
        await till.payments.heed(Notice(customer, subscription))
    assert customer not in caplog.text
    assert await till.subscribed(account) == {}
    await till.bank.fault()
    await till.payments.heed(Notice(customer, subscription))
    assert await till.subscribed(account) == ({} if gone else {subscription: "active"})


async def test_a_key_of_another_account_is_no_news_that_nothing_is_there(
    till: Till, till_database: str
) -> None:
    account, customer, (subscription,) = await till.payer()
    await till.payments.heed(Notice(customer, subscription))
    async with (
        stripe_sandbox(till.clock.now) as another,
        a_till(till_database, till.clock, till.bank, url=another.url) as mistaken,
    ):
        for notice in (Notice(customer, subscription), Notice(customer)):
            with pytest.raises(StripeUnavailable):
                await mistaken.payments.heed(notice)
    assert await till.subscribed(account) == {subscription: "active"}
    assert await Customers(till.db).of(account) == customer


async def test_stripe_is_not_waited_for_longer_than_the_gateway_waits(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HEEDING_SECONDS", 0.1)
    _, customer, (subscription,) = await till.payer()
    await till.bank.fault({"kind": "delay", "match": "GET /v1/subscriptions/", "seconds": 30})
    async with asyncio.timeout(6):
        with pytest.raises(TimeoutError):
            await till.payments.heed(Notice(customer, subscription))


@erasing
async def test_what_is_said_after_the_end_changes_nothing(till: Till) -> None:
    """As after every erasure: Stripe tells us of each cancelling and of the deleting that we asked for."""
    account, customer, subscribed = await till.payer(2)
    wanted = till.wanted(account)
    await till.eraser.through(wanted)
    before = await till.closings_of(wanted)
    till.clock.forward(timedelta(hours=1))
    for notice in (*(Notice(customer, each) for each in subscribed), Notice(customer), Notice(customer)):
        await till.payments.heed(notice)
    assert await till.closings_of(wanted) == before
    assert await till.subscribed(account) == {}
    assert len(await till.bank.requests(customer, "DELETE")) == 1


@erasing
async def test_a_customer_whom_others_deleted_while_it_was_to_be_closed_is_closed(till: Till) -> None:
    account, customer, subscribed = await till.payer()
    wanted = till.wanted(account)
    await till.bank.fault({"kind": "503", "match": "DELETE /v1/customers"})
    await till.ask(wanted)
    with pytest.raises(StripeUnavailable):
        await till.eraser.through(wanted)
    await till.payments.heed(Notice(customer))
    assert [row["state"] for row in await till.closings_of(wanted)] == ["WANTED"], "it is not deleted yet"
    await till.bank.client.v1.customers.delete_async(customer)
    await till.payments.heed(Notice(customer))
    (row,) = await till.closings_of(wanted)
    assert (row["state"], row["cause"]) == ("CLOSED", "")
    # Who is at it finds it done.
    await till.eraser.through(wanted, gone=True)
    assert await till.under_way(account) is None
    assert [await till.bank.status(each) for each in subscribed] == ["canceled"]


@erasing
async def test_a_subscription_that_comes_to_life_late_is_cancelled(till: Till) -> None:
    """Between the cancelling of all that there was and the deleting, for which Stripe is not to be had."""
    account, customer, _ = await till.payer()
    wanted = till.wanted(account)
    await till.bank.fault({"kind": "503", "match": "DELETE /v1/customers", "times": 2})
    with pytest.raises(StripeUnavailable):
        await till.eraser.through(wanted)
    await till.payments.sweep()
    late = await till.bank.subscribe(customer)
    await till.payments.sweep()
    assert await till.bank.status(late) == "active", "it is tried later"
    await till.payments.heed(Notice(customer, late))
    assert await till.subscribed(account) == {}
    await till.payments.sweep()
    assert await till.bank.status(late) == "canceled"
    assert await till.bank.deleted(customer)
    assert [row["state"] for row in await till.closings_of(wanted)] == ["CLOSED"]


@erasing
async def test_what_turns_up_when_all_was_over_is_closed_too(till: Till) -> None:
    """Somebody else who bears the book's id at Stripe, as after a restored backup."""
    account, customer, _ = await till.payer()
    book, wanted = await till.book(account), till.wanted(account)
    await till.eraser.through(wanted)
    lost = await till.bank.client.v1.customers.create_async({"metadata": {"wallet": str(book)}})
    subscription = await till.bank.subscribe(lost.id)
    await till.payments.sweep()
    assert await till.bank.status(subscription) == "active", "nobody knows of it"
    await till.payments.heed(Notice(customer))
    assert await states(till, book) == [("WANTED", customer)]
    await till.payments.sweep()
    assert await till.bank.status(subscription) == "canceled"
    assert await till.bank.deleted(lost.id)
    (row,) = await till.closings(book)
    assert (row["state"], row["due"]) == ("CLOSED", till.clock.now() + CLOSED_KEPT)


@erasing
async def test_while_an_erasure_is_at_it_nobody_else_is(till: Till) -> None:
    account, customer, (subscription,) = await till.payer()
    wanted = till.wanted(account)
    await till.bank.fault({"kind": "503", "match": "DELETE /v1/subscriptions"})
    await till.ask(wanted)
    with pytest.raises(StripeUnavailable):
        await till.eraser.through(wanted)
    await till.payments.heed(Notice(customer, subscription))
    await till.payments.sweep()
    assert await till.bank.status(subscription) == "active"
    await till.eraser.through(wanted, gone=True)
    assert await till.bank.status(subscription) == "canceled"
