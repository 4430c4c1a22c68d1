"""Credits that end: used soonest first, gone by the clock, booked by the job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub

from services.billing.domain import Balance, Gift, InsufficientCredits
from services.billing.jobs import Expiry
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, LIFETIME, Sql
from tests.integration.in_process import Neighbours
from tests.support import FakeClock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def left(sql: Sql, ledger: Ledger, person: UUID) -> list[tuple[int, ...]]:
    """(available, held, settled, expired) of each lot, the one that ends soonest first."""
    book = await ledger.book(person)
    rows = await sql.fetch(
        "SELECT available, held, settled, expired FROM lots WHERE book = $1 ORDER BY expires_at, granted",
        book,
    )
    return [tuple(row) for row in rows]


@pytest.mark.promise("3-admin-account")
async def test_credits_that_end_soonest_are_used_first(person: UUID, ledger: Ledger, sql: Sql) -> None:
    await ledger.grant(person, Gift(20, 2 * DAY))
    await ledger.grant(person, Gift(10, DAY))
    job = uuid4()
    await ledger.place(person, job, 35, LIFETIME)
    assert await left(sql, ledger, person) == [(0, 10, 0, 0), (0, 20, 0, 0), (GRANT - 5, 5, 0, 0)]
    # What was delivered is taken from them in the same order; the rest goes back where it came from.
    await ledger.settle(job, 12)
    assert await left(sql, ledger, person) == [(0, 0, 10, 0), (18, 0, 2, 0), (GRANT, 0, 0, 0)]


async def test_what_is_left_is_gone_at_its_end_and_booked_once(
    person: UUID, ledger: Ledger, clock: FakeClock, sql: Sql
) -> None:
    await ledger.grant(person, Gift(10, HOUR))
    await ledger.place(person, uuid4(), 4, LIFETIME)
    clock.forward(HOUR - timedelta(seconds=1))
    assert await ledger.balance(person) == Balance(GRANT + 6, 4, 0)
    clock.forward(timedelta(seconds=1))
    assert await ledger.balance(person) == Balance(GRANT, 4, 0)
    await Expiry(ledger).run()
    assert await Expiry(ledger).run() == 0
    assert await left(sql, ledger, person) == [(0, 4, 0, 6), (GRANT, 0, 0, 0)]
    assert await ledger.balance(person) == Balance(GRANT, 4, 0)


async def test_credits_that_ended_can_not_be_held_before_the_job_was_there(
    person: UUID, ledger: Ledger, clock: FakeClock
) -> None:
    await ledger.grant(person, Gift(10, HOUR))
    clock.forward(HOUR)
    job = uuid4()
    placement = await ledger.place(person, job, GRANT + 1, LIFETIME)
    with pytest.raises(InsufficientCredits) as refused:
        placement.accepted(job, GRANT + 1)
    assert refused.value.metadata["available"] == str(GRANT)


async def test_what_is_held_at_the_end_is_captured_and_the_rest_of_it_ends(
    person: UUID, ledger: Ledger, clock: FakeClock, sql: Sql
) -> None:
    await ledger.grant(person, Gift(10, HOUR))
    job = uuid4()
    await ledger.place(person, job, 10, LIFETIME)
    clock.forward(HOUR)
    await Expiry(ledger).run()
    await ledger.settle(job, 7)
    assert await ledger.balance(person) == Balance(GRANT, 0, 7)
    await Expiry(ledger).run()
    assert await left(sql, ledger, person) == [(0, 0, 7, 3), (GRANT, 0, 0, 0)]


async def test_a_person_reads_when_credits_end_and_that_they_did(
    person: UUID, ledger: Ledger, clock: FakeClock, person_calls: BillingServiceStub, billing: Neighbours
) -> None:
    clock.forward(timedelta(seconds=1))
    await ledger.grant(person, Gift(10, HOUR))
    ends_at = clock.now() + HOUR
    clock.forward(HOUR)
    await Expiry(ledger).run()

    async def entries() -> Any:
        return await person_calls.ListEntries(
            billing_pb2.ListEntriesRequest(), metadata=billing.signed_in(person)
        )

    ended, given, first = (await entries()).entries
    assert (ended.kind, ended.available_delta, ended.held_delta) == (billing_pb2.EXPIRY, -10, 0)
    assert ended.description == "10 credits ended unused."
    assert given.expire_time.ToDatetime(tzinfo=ends_at.tzinfo) == ends_at
    assert given.description == f"10 credits given to you, usable until {ends_at:%Y-%m-%d %H:%M} UTC."
    assert not first.HasField("expire_time")


async def test_more_lots_than_a_batch_are_booked_in_one_run(
    person: UUID, ledger: Ledger, clock: FakeClock, sql: Sql
) -> None:
    for number in range(7):
        await ledger.grant(person, Gift(1 + number, HOUR))
    clock.forward(HOUR)
    await Expiry(ledger, batch=2).run()
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)
    assert [lot[3] for lot in await left(sql, ledger, person)] == [1, 2, 3, 4, 5, 6, 7, 0]
