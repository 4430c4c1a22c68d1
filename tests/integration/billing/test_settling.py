"""How a job ended decides what becomes of its hold, once, in whatever order the news comes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from crafiq.generation.v1 import events_pb2
from google.protobuf.message import Message

from chassis.deadletters import dead_letters
from services.billing.consumers import CAPPED, UNPAID, Consumers
from services.billing.domain import Balance, Gift, HoldState, HoldUnknown
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, LIFETIME, Sql
from tests.integration.in_process import Neighbours
from tests.support import eventually

ENDS = {
    "succeeded": events_pb2.GenerationSucceeded,
    "failed": events_pb2.GenerationFailed,
    "cancelled": events_pb2.GenerationCancelled,
}


def ended(how: str, person: UUID, job: UUID, price: int = 0) -> Message:
    names = {"account": f"accounts/{person}", "generation": f"generations/{job}"}
    extra = {"credits": price} if how == "succeeded" else {}
    return ENDS[how](**names, **extra)


async def tell(billing: Neighbours, ledger: Ledger, *news: Message) -> None:
    """Deliver news in order, through the handlers that the subscriptions name, each in its transaction."""
    handlers = {s.event: s.handle for s in Consumers(ledger, Gift(GRANT)).subscriptions()}
    for event in news:
        async with billing.service.db.transaction() as tx:
            await handlers[type(event)](tx, event)


@pytest.fixture
async def job(person: UUID, ledger: Ledger) -> UUID:
    """A job with a hold of 10."""
    generation = uuid4()
    await ledger.place(person, generation, 10, LIFETIME)
    return generation


async def test_a_delivery_is_charged_when_the_bus_brings_the_news(
    billing: Neighbours, person: UUID, job: UUID, ledger: Ledger
) -> None:
    await billing.announce("generation", ended("succeeded", person, job, 10))

    async def settled() -> bool:
        return await ledger.balance(person) == Balance(GRANT - 10, 0, 10)

    await eventually(settled)


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize(
    ("news", "charged"),
    [
        ([("succeeded", 10)], 10),
        ([("succeeded", 4)], 4),
        ([("succeeded", 0)], 0),
        ([("failed", 0)], 0),
        ([("cancelled", 0)], 0),
        # Never more than was held: the person agreed to the quote.
        ([("succeeded", 11)], 10),
        ([("succeeded", 2**31 - 1)], 10),
        # Told twice.
        ([("succeeded", 4), ("succeeded", 4)], 4),
        ([("failed", 0), ("failed", 0)], 0),
        # Contradicting, in both orders: what came first stands.
        ([("succeeded", 4), ("succeeded", 9)], 4),
        ([("succeeded", 4), ("failed", 0)], 4),
        ([("succeeded", 4), ("cancelled", 0), ("succeeded", 10)], 4),
        ([("failed", 0), ("succeeded", 4)], 0),
        ([("cancelled", 0), ("failed", 0), ("succeeded", 10)], 0),
    ],
)
async def test_a_hold_settles_once(
    news: Sequence[tuple[str, int]],
    charged: int,
    billing: Neighbours,
    person: UUID,
    job: UUID,
    ledger: Ledger,
) -> None:
    await tell(billing, ledger, *(ended(how, person, job, price) for how, price in news))
    assert await ledger.balance(person) == Balance(GRANT - charged, 0, charged)
    hold = await ledger.hold(job)
    assert hold is not None
    assert (hold.captured, hold.state) == (charged, HoldState.CAPTURED if charged else HoldState.RELEASED)


@pytest.mark.promise("3-transactions")
async def test_news_delivered_twice_by_the_bus_has_one_effect(
    billing: Neighbours, person: UUID, ledger: Ledger
) -> None:
    jobs = [uuid4() for _ in range(6)]
    for generation in jobs:
        await ledger.place(person, generation, 10, LIFETIME)
    for _ in range(2):
        for number, generation in enumerate(jobs):
            how = "succeeded" if number % 2 else "failed"
            await billing.announce("generation", ended(how, person, generation, 7))

    async def settled() -> bool:
        return await ledger.balance(person) == Balance(GRANT - 21, 0, 21)

    await eventually(settled)
    # Everything that was told is handled once a later message is.
    await ledger.place(person, last := uuid4(), 1, LIFETIME)
    await billing.announce("generation", ended("failed", person, last))

    async def told() -> bool:
        return (await ledger.balance(person)).held == 0

    await eventually(told)
    assert await ledger.balance(person) == Balance(GRANT - 21, 0, 21)


async def test_failure_before_the_hold_keeps_it_from_being_placed(
    billing: Neighbours, person: UUID, ledger: Ledger
) -> None:
    generation = uuid4()
    await tell(billing, ledger, ended("failed", person, generation), ended("cancelled", person, generation))
    placement = await ledger.place(person, generation, 10, LIFETIME)
    assert placement.hold is not None
    assert placement.hold.state is HoldState.RELEASED
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)


async def test_a_price_above_the_hold_is_counted_and_our_loss(
    billing: Neighbours, person: UUID, job: UUID, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    before = CAPPED._value.get()
    await tell(billing, ledger, ended("succeeded", person, job, 12), ended("succeeded", person, job, 12))
    assert CAPPED._value.get() == before + 1
    assert "costs 12, 10 were held" in caplog.text


async def test_a_delivery_after_its_hold_was_given_back_is_counted_and_our_loss(
    billing: Neighbours, person: UUID, job: UUID, ledger: Ledger
) -> None:
    before = UNPAID._value.get()
    await tell(billing, ledger, ended("failed", person, job), ended("succeeded", person, job, 10))
    assert UNPAID._value.get() == before + 1


async def test_a_delivery_for_which_nothing_was_ever_held_is_for_somebody_to_look_at(
    billing: Neighbours, person: UUID, ledger: Ledger, sql: Sql
) -> None:
    generation = uuid4()
    with pytest.raises(HoldUnknown):
        await tell(billing, ledger, ended("succeeded", person, generation, 5))
    message = await billing.announce("generation", ended("succeeded", person, generation, 5))

    async def dead() -> bool:
        return any(letter.message_id == message for letter in await dead_letters(billing.service.db))

    await eventually(dead)
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)
    await sql.execute("DELETE FROM dead_letters")  # other tests look at what lies there
