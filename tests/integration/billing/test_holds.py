"""Placing and giving back holds, as generation asks for it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub

from chassis.rpc import refusal_from
from services.billing.domain import Balance
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, People, Sql, erase
from tests.support import FakeClock

HELD, CAPTURED, RELEASED = billing_pb2.HELD, billing_pb2.CAPTURED, billing_pb2.RELEASED


def place(person: UUID, generation: UUID, needed: int) -> billing_pb2.PlaceHoldRequest:
    return billing_pb2.PlaceHoldRequest(
        account=f"accounts/{person}", generation=f"generations/{generation}", credits=needed
    )


def release(person: UUID, generation: UUID) -> billing_pb2.ReleaseHoldRequest:
    return billing_pb2.ReleaseHoldRequest(
        account=f"accounts/{person}", generation=f"generations/{generation}"
    )


async def reason_of(call: grpc.aio.UnaryUnaryCall) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refusal_from(refused.value).reason


async def test_a_hold_sets_credits_aside(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger, clock: FakeClock
) -> None:
    job = uuid4()
    hold = await generation_calls.PlaceHold(place(person, job, 30))
    assert (hold.generation, hold.credits, hold.captured_credits, hold.state) == (
        f"generations/{job}",
        30,
        0,
        HELD,
    )
    assert hold.expire_time.ToDatetime(tzinfo=clock.now().tzinfo) == clock.now() + timedelta(hours=24)
    assert await ledger.balance(person) == Balance(GRANT - 30, 30, 0)


async def test_the_same_hold_is_answered_when_asked_again(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job = uuid4()
    first = await generation_calls.PlaceHold(place(person, job, 60))
    assert await generation_calls.PlaceHold(place(person, job, 60)) == first
    assert await ledger.balance(person) == Balance(GRANT - 60, 60, 0)


async def test_another_amount_for_the_same_generation_is_refused(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job = uuid4()
    await generation_calls.PlaceHold(place(person, job, 6))
    for other in (5, 7, 1000):
        assert await reason_of(generation_calls.PlaceHold(place(person, job, other))) == "HOLD_MISMATCH"
    assert await ledger.balance(person) == Balance(GRANT - 6, 6, 0)


async def test_another_person_can_not_place_a_hold_for_the_same_generation(
    person: UUID, new_person: People, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job, other = uuid4(), await new_person()
    await generation_calls.PlaceHold(place(person, job, 6))
    assert await reason_of(generation_calls.PlaceHold(place(other, job, 6))) == "HOLD_MISMATCH"
    assert await ledger.balance(other) == Balance(GRANT, 0, 0)


@pytest.mark.promise("3-transactions")
async def test_too_few_credits_are_refused_with_numbers_and_a_way_out(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    await generation_calls.PlaceHold(place(person, uuid4(), 70))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await generation_calls.PlaceHold(place(person, uuid4(), 31))
    refusal = refusal_from(refused.value)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "INSUFFICIENT_CREDITS"
    assert refusal.metadata == {"needed": "31", "available": "30"}
    assert "ask for fewer Outputs" in str(refusal)
    assert await ledger.balance(person) == Balance(30, 70, 0)


async def test_all_credits_can_be_held_to_the_last(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    await generation_calls.PlaceHold(place(person, uuid4(), GRANT))
    assert await ledger.balance(person) == Balance(0, GRANT, 0)
    assert await reason_of(generation_calls.PlaceHold(place(person, uuid4(), 1))) == "INSUFFICIENT_CREDITS"


async def test_a_hold_is_given_back_whole_and_once(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job = uuid4()
    await generation_calls.PlaceHold(place(person, job, 30))
    first = await generation_calls.ReleaseHold(release(person, job))
    assert (first.credits, first.captured_credits, first.state) == (30, 0, RELEASED)
    assert await generation_calls.ReleaseHold(release(person, job)) == first
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)
    assert await reason_of(generation_calls.PlaceHold(place(person, job, 30))) == "HOLD_RELEASED"


async def test_a_hold_that_was_given_back_before_it_was_placed_is_never_placed(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job = uuid4()
    hold = await generation_calls.ReleaseHold(release(person, job))
    assert (hold.credits, hold.state) == (0, RELEASED)
    assert await generation_calls.ReleaseHold(release(person, job)) == hold
    assert await reason_of(generation_calls.PlaceHold(place(person, job, 30))) == "HOLD_RELEASED"
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)


async def test_what_was_captured_is_not_given_back(
    person: UUID, generation_calls: BillingServiceStub, ledger: Ledger
) -> None:
    job = uuid4()
    placed = await generation_calls.PlaceHold(place(person, job, 30))
    await ledger.settle(job, 30)
    assert await reason_of(generation_calls.ReleaseHold(release(person, job))) == "HOLD_CAPTURED"
    again = await generation_calls.PlaceHold(place(person, job, 30))
    assert (again.state, again.captured_credits, again.expire_time) == (CAPTURED, 30, placed.expire_time)
    assert await ledger.balance(person) == Balance(GRANT - 30, 0, 30)


async def test_a_hold_ahead_of_the_news_of_its_person_is_to_be_asked_for_again(
    generation_calls: BillingServiceStub,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await generation_calls.PlaceHold(place(uuid4(), uuid4(), 1), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refusal_from(refused.value).retry_after is not None


@pytest.mark.promise("9-delete-now")
async def test_a_person_who_was_erased_holds_nothing_more_and_the_books_still_close(
    person: UUID, generation_calls: BillingServiceStub, sql: Sql
) -> None:
    job = uuid4()
    await generation_calls.PlaceHold(place(person, job, 30))
    await erase(sql, person)
    assert (
        await reason_of(generation_calls.PlaceHold(place(person, uuid4(), 1), timeout=10)) == "ACCOUNT_ERASED"
    )
    hold = await generation_calls.ReleaseHold(release(person, job))
    assert (hold.credits, hold.state) == (30, RELEASED)


@pytest.mark.parametrize(
    ("account", "generation", "needed"),
    [
        ("", "generations/00000000-0000-4000-8000-000000000000", 1),
        ("accounts/me", "generations/00000000-0000-4000-8000-000000000000", 1),
        ("accounts/00000000-0000-4000-8000-000000000000", "generations/../x", 1),
        ("accounts/00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000", 1),
        (
            "accounts/00000000-0000-4000-8000-000000000000",
            "generations/00000000-0000-4000-8000-000000000000",
            0,
        ),
        (
            "accounts/00000000-0000-4000-8000-000000000000",
            "generations/00000000-0000-4000-8000-000000000000",
            -5,
        ),
        (
            "accounts/00000000-0000-4000-8000-000000000000",
            "generations/00000000-0000-4000-8000-000000000000",
            2**31 - 1,
        ),
    ],
)
async def test_a_request_that_is_wrong_is_told_where(
    account: str, generation: str, needed: int, generation_calls: BillingServiceStub
) -> None:
    request = billing_pb2.PlaceHoldRequest(account=account, generation=generation, credits=needed)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await generation_calls.PlaceHold(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal_from(refused.value).violations
