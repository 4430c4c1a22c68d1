"""Who pays is a customer at Stripe: one, known by a random name alone, and nobody is left over."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.errors import SubjectUnknown
from promises.erasing import Erasing
from services.billing.domain import (
    OPENING_LASTS,
    Closing,
    CustomerClosing,
    Row,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
)
from services.billing.repository import Customers
from tests.integration.billing.till import Till, a_till, till, till_bank, till_clock, till_database
from tests.integration.billing.victims import killed_once
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["till", "till_bank", "till_clock", "till_database"]


async def test_a_customer_is_made_once_and_known_from_then_on(till: Till) -> None:
    account = await till.person()
    customer = await till.payments.customer_for(account)
    assert await till.payments.customer_for(account) == customer
    book = await till.book(account)
    assert await till.bank.customers(book) == [customer]
    assert len(await till.bank.requests(str(book), "POST")) == 1
    assert await states(till, book) == ["ADOPTED"]


async def states(till: Till, book: UUID) -> list[str]:
    """What is written down about a book's customer."""
    return [row["state"] for row in await till.closings(book)]


def making(book: UUID) -> str:
    """Faults are meant for this request."""
    return f'POST /v1/customers {{"metadata": {{"wallet": "{book}"'


@pytest.mark.promise("2a-pay-nocard", "8-minimise")
async def test_stripe_is_told_nothing_but_a_random_name(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    account = await till.person()
    book = await till.book(account)
    with caplog.at_level(logging.INFO):
        customer = await till.payments.customer_for(account)
    (row,) = await till.bank.requests(str(book), "POST")
    assert row["parameters"] == {"metadata": {"wallet": str(book)}}
    assert str(account) not in str(row)
    # Nothing of this machine either: no platform, no id of it, no time that the last call took.
    assert '"platform"' not in row["client"]
    assert "telemetry" not in row["client"]
    assert "x-stripe-client-telemetry" not in row["headers"]
    assert customer not in caplog.text


@pytest.mark.promise("2a-pay-nocard")
async def test_of_a_card_that_paid_nothing_is_written_down_here(till: Till, till_database: str) -> None:
    _, customer, (subscription,) = await till.payer()
    assert await till.bank.status(subscription) == "active"
    connection = await asyncpg.connect(till_database)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dumped = str([await connection.fetch(f'TABLE "{name}"') for (name,) in tables])
    await connection.close()
    assert customer in dumped
    assert not [each for each in ("4242", "pm_", subscription, "visa") if each in dumped]


@pytest.mark.parametrize("delay", [None, 0.2])
async def test_asked_for_many_times_at_once_it_is_one(
    till: Till, till_database: str, delay: float | None
) -> None:
    account = await till.person()
    book = await till.book(account)
    if delay:
        # Long enough that the others' requests come while the first is under way: Stripe says 409.
        await till.bank.fault({"kind": "delay", "seconds": delay, "match": making(book)})
    async with a_till(till_database, till.clock, till.bank) as other:
        asked = [each.payments.customer_for(account) for each in (till, other) for _ in range(4)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    made = {each for each in answers if isinstance(each, str)}
    assert [each for each in answers if not isinstance(each, str | StripeUnavailable)] == []
    assert await till.bank.customers(book) == list(made)
    assert await till.payments.customer_for(account) in made
    till.clock.forward(timedelta(days=1))
    await till.payments.sweep()
    assert await till.bank.customers(book) == list(made), "it is somebody's, and stays"
    assert await states(till, book) == ["ADOPTED"]


async def test_nobody_without_a_wallet_is_made_a_customer(till: Till) -> None:
    with pytest.raises(SubjectUnknown):
        await till.payments.customer_for(uuid4())


@pytest.mark.parametrize(
    ("fault", "made"), [("drop", 0), ("429", 0), ("503", 0), ("accepted_answer_lost", 1)]
)
async def test_what_was_not_answered_is_asked_again_and_is_one(till: Till, fault: str, made: int) -> None:
    account = await till.person()
    book = await till.book(account)
    await till.bank.fault({"kind": fault, "match": making(book), "times": 3})
    with pytest.raises(StripeUnavailable):
        await till.payments.customer_for(account)
    await till.bank.fault()
    assert len(await till.bank.customers(book)) == made
    customer = await till.payments.customer_for(account)
    assert await till.bank.customers(book) == [customer]
    assert await states(till, book) == ["ADOPTED"]


async def test_a_passing_trouble_is_waited_out(till: Till) -> None:
    account = await till.person()
    book = await till.book(account)
    await till.bank.fault({"kind": "drop", "match": making(book)}, {"kind": "429", "match": making(book)})
    customer = await till.payments.customer_for(account)
    assert await till.bank.customers(book) == [customer]


@pytest.mark.parametrize(("fault", "made"), [("500", 0), ("accepted_500", 1), ("garbage", 1)])
async def test_after_a_failure_whatever_was_made_is_closed_before_the_next_is_made(
    till: Till, fault: str, made: int
) -> None:
    account = await till.person()
    book = await till.book(account)
    await till.bank.fault({"kind": fault, "match": making(book)})
    with pytest.raises(StripeFailed):
        await till.payments.customer_for(account)
    left = await till.bank.customers(book)
    assert len(left) == made
    with pytest.raises(CustomerClosing):
        await till.payments.customer_for(account)
    await till.payments.sweep()
    assert await till.bank.customers(book) == left, "Stripe's search may not know it yet"
    till.clock.forward(timedelta(minutes=2))
    await till.payments.sweep()
    assert await till.bank.customers(book) == []
    customer = await till.payments.customer_for(account)
    assert customer not in left
    assert await till.bank.customers(book) == [customer]


async def test_a_refusal_is_told_as_one_and_what_was_begun_ends(till: Till, till_database: str) -> None:
    account = await till.person()
    book = await till.book(account)
    async with a_till(till_database, till.clock, till.bank, key="sk_test_of_another_account") as wrong:
        with pytest.raises(StripeRefused) as refused:
            await wrong.payments.customer_for(account)
        assert refused.value.metadata == {"status": "401", "code": "AuthenticationError"}
        till.clock.forward(OPENING_LASTS)
        await wrong.payments.sweep()
        (row,) = await till.closings(book)
        assert (row["state"], row["tries"], row["cause"]) == ("WANTED", 1, "STRIPE_REFUSED")
        await wrong.payments.sweep()
        assert (await till.closings(book))[0]["tries"] == 1, "it is tried later"
    till.clock.forward(timedelta(seconds=30))
    await till.payments.sweep()
    assert await states(till, book) == ["CLOSED"]
    assert await till.bank.customers(book) == []


@pytest.mark.promise("9-delete-now")
async def test_who_is_erased_between_stripes_answer_and_our_commit_leaves_nobody_there(till: Till) -> None:
    account = await till.person()
    book = await till.book(account)
    wanted = till.wanted(account)

    class Interrupted(Customers):
        async def adopt(self, account: UUID, opening: Closing, customer: str) -> None:
            await till.eraser.through(wanted)
            await super().adopt(account, opening, customer)

    till.payments._customers = Interrupted(till.db)
    with pytest.raises((SubjectUnknown, CustomerClosing)):
        await till.payments.customer_for(account)
    assert await till.bank.customers(book) == []
    assert await states(till, book) == ["CLOSED"]


@pytest.mark.promise("9-delete-now")
async def test_who_is_being_erased_is_not_made_a_customer(till: Till) -> None:
    account = await till.person()
    book = await till.book(account)
    async with till.db.transaction() as tx:
        await Erasing(Row.metadata, [till.payments]).erase(tx, till.wanted(account))
        asked = asyncio.create_task(till.payments.customer_for(account))
        await eventually(till.somebody_waits)
    with pytest.raises(SubjectUnknown):
        await asked
    assert await till.bank.requests(str(book)) == []
    assert await states(till, book) == []


@pytest.mark.parametrize("begun_again", [False, True])
async def test_who_comes_back_too_late_finds_that_it_was_closed(till: Till, begun_again: bool) -> None:
    account = await till.person()
    book = await till.book(account)

    class Stopped(Customers):
        async def adopt(self, account: UUID, opening: Closing, customer: str) -> None:
            till.clock.forward(OPENING_LASTS)
            await till.payments.sweep()
            if begun_again:
                assert await Customers(till.db).open(account) is not None
            await super().adopt(account, opening, customer)

    before, till.payments._customers = till.payments._customers, Stopped(till.db)
    with pytest.raises(CustomerClosing):
        await till.payments.customer_for(account)
    till.payments._customers = before
    assert await before.of(account) is None
    assert await till.bank.customers(book) == []
    customer = await till.payments.customer_for(account)
    assert await till.bank.customers(book) == [customer]


@pytest.mark.promise("9-delete-now")
async def test_erased_while_a_customer_is_being_made_at_any_moment_leaves_nobody_there(till: Till) -> None:
    async def race(number: int) -> UUID:
        account = await till.person()
        book = await till.book(account)

        async def erase() -> None:
            await asyncio.sleep(number * 0.001)
            await till.eraser.through(till.wanted(account))

        asked = till.payments.customer_for(account)
        made, erased = await asyncio.gather(asked, erase(), return_exceptions=True)
        assert isinstance(made, str | SubjectUnknown | CustomerClosing), made
        assert erased is None
        return book

    for first in range(0, 24, 6):
        for book in await asyncio.gather(*(race(number) for number in range(first, first + 6))):
            assert await till.bank.customers(book) == []
            assert await states(till, book) in ([], ["CLOSED"])


@asynccontextmanager
async def killed_while_making(till: Till, database: str, account: UUID) -> AsyncIterator[list[str]]:
    """A process of billing died when Stripe had made the customer and not yet said so."""
    book = await till.book(account)
    await till.bank.fault({"kind": "delay", "seconds": 6, "match": making(book)})
    async with killed_once("make", database, till.bank.url, account, uuid4()):
        left: Any = await eventually(lambda: till.bank.customers(book), timeout=40)
    await till.bank.fault()
    yield left


async def test_a_process_killed_while_it_waits_leaves_what_the_next_one_takes_up(
    till: Till, till_database: str
) -> None:
    account = await till.person()
    async with killed_while_making(till, till_database, account) as left:

        async def again() -> str | None:
            # Until the stand-in has seen that nobody waits for the answer any more, the key is in use.
            try:
                return await till.payments.customer_for(account)
            except StripeUnavailable:
                return None

        assert await eventually(again) == left[0]
        assert await states(till, await till.book(account)) == ["ADOPTED"]


async def test_what_nobody_takes_up_is_closed(till: Till, till_database: str) -> None:
    account = await till.person()
    book = await till.book(account)
    async with killed_while_making(till, till_database, account) as left:
        await till.payments.sweep()
        assert await till.bank.customers(book) == left

        async def closed() -> bool:
            till.clock.forward(OPENING_LASTS)
            await till.payments.sweep()
            return await states(till, book) == ["CLOSED"]

        await eventually(closed)
        assert await till.bank.customers(book) == []


@pytest.mark.promise("9-delete-now")
async def test_what_a_killed_process_left_goes_with_its_person(till: Till, till_database: str) -> None:
    account = await till.person()
    book = await till.book(account)
    wanted = till.wanted(account)
    async with killed_while_making(till, till_database, account):

        async def erased() -> bool:
            try:
                await till.eraser.through(wanted)
            except StripeUnavailable:
                return False
            return True

        await eventually(erased)
        assert await till.bank.customers(book) == []


async def test_when_stripe_may_have_forgotten_the_key_it_is_found_by_its_name(till: Till) -> None:
    account = await till.person()
    book = await till.book(account)
    await till.bank.fault({"kind": "accepted_answer_lost", "match": making(book), "times": 3})
    with pytest.raises(StripeUnavailable):
        await till.payments.customer_for(account)
    await till.bank.fault()
    till.clock.forward(timedelta(hours=25))
    with pytest.raises(CustomerClosing):
        await till.payments.customer_for(account)
    await till.payments.sweep()
    assert await till.bank.customers(book) == []
    assert len(await till.bank.requests(str(book), "POST")) == 3, "no other was made to find the first"


async def test_nobody_who_pays_is_closed_unless_they_are_erased(till: Till) -> None:
    """As after a restored backup, which has forgotten who was made since, and a try that came to nothing."""
    account, customer, (subscription,) = await till.payer()
    book = await till.book(account)
    await till.forgets(account)
    await Customers(till.db).open(account)
    till.clock.forward(OPENING_LASTS)
    await till.payments.sweep()
    assert await states(till, book) == ["CLOSED"]
    assert await till.bank.status(subscription) == "active"
    assert await till.bank.customers(book) == [customer]
    await till.eraser.through(till.wanted(account))
    assert await till.bank.status(subscription) == "canceled"
    assert await till.bank.customers(book) == []


async def test_what_was_closed_is_forgotten_after_thirty_days(till: Till) -> None:
    account, _, _ = await till.payer(0)
    book = await till.book(account)
    await till.eraser.through(till.wanted(account))
    till.clock.forward(timedelta(days=29))
    await till.payments.sweep()
    assert len(await till.closings(book)) == 1
    till.clock.forward(timedelta(days=1))
    await till.payments.sweep()
    assert await till.closings(book) == []
