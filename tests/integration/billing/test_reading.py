"""What people see of their credits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub

from chassis.rpc import refusal_from
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, LIFETIME, People
from tests.integration.in_process import Neighbours
from tests.support import FakeClock

Entries = list[billing_pb2.Entry]


@pytest.fixture
def entries_of(person_calls: BillingServiceStub, billing: Neighbours) -> Any:
    """A page of somebody's entries."""

    async def ask(person: UUID, **request: Any) -> billing_pb2.ListEntriesResponse:
        asked = billing_pb2.ListEntriesRequest(**request)
        return await person_calls.ListEntries(asked, metadata=billing.signed_in(person))

    return ask


@pytest.fixture
async def history(person: UUID, ledger: Ledger, clock: FakeClock) -> list[UUID]:
    """Three jobs: one delivered in part, one failed, one under way."""
    jobs = [uuid4() for _ in range(3)]
    for generation, price in zip(jobs, (3, 0, None), strict=True):
        clock.forward(timedelta(seconds=1))
        await ledger.place(person, generation, 8, LIFETIME)
        if price is not None:
            clock.forward(timedelta(seconds=1))
            await ledger.settle(generation, price)
    return jobs


async def test_the_balance_is_available_held_and_settled(
    person: UUID, history: list[UUID], person_calls: BillingServiceStub, billing: Neighbours
) -> None:
    balance = await person_calls.GetBalance(
        billing_pb2.GetBalanceRequest(), metadata=billing.signed_in(person)
    )
    assert (balance.available, balance.held, balance.settled) == (GRANT - 11, 8, 3)


async def test_entries_tell_each_transaction_newest_first(
    person: UUID, history: list[UUID], entries_of: Any
) -> None:
    entries = (await entries_of(person)).entries
    kinds = billing_pb2.EntryKind
    delivered, failed, under_way = (f"generations/{generation}" for generation in history)
    assert [(e.kind, e.available_delta, e.held_delta, e.generation) for e in entries] == [
        (kinds.HOLD, -8, 8, under_way),
        (kinds.RELEASE, 8, -8, failed),
        (kinds.HOLD, -8, 8, failed),
        (kinds.CAPTURE, 5, -8, delivered),
        (kinds.HOLD, -8, 8, delivered),
        (kinds.GRANT, GRANT, 0, ""),
    ]
    assert len({e.name for e in entries}) == len(entries)
    assert all(e.description for e in entries)
    times = [e.create_time.ToDatetime() for e in entries]
    assert times == sorted(times, reverse=True)


async def test_entries_add_up_to_the_balance(
    person: UUID, history: list[UUID], entries_of: Any, ledger: Ledger
) -> None:
    entries: Entries = (await entries_of(person)).entries
    balance = await ledger.balance(person)
    assert sum(e.available_delta for e in entries) == balance.available
    assert sum(e.held_delta for e in entries) == balance.held


async def test_entries_of_one_generation(person: UUID, history: list[UUID], entries_of: Any) -> None:
    wanted = f"generations/{history[0]}"
    entries: Entries = (await entries_of(person, generation=wanted)).entries
    assert [e.kind for e in entries] == [billing_pb2.CAPTURE, billing_pb2.HOLD]
    assert {e.generation for e in entries} == {wanted}


async def test_pages_show_each_entry_once(person: UUID, history: list[UUID], entries_of: Any) -> None:
    whole: Entries = list((await entries_of(person)).entries)
    paged: Entries = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await entries_of(person, page_size=4, page_token=token)
        paged, token, pages = [*paged, *page.entries], page.next_page_token, pages + 1
    assert paged == whole
    assert pages == 2


async def test_a_page_token_is_good_for_its_person_and_its_filter_only(
    person: UUID, history: list[UUID], new_person: People, entries_of: Any
) -> None:
    token = (await entries_of(person, page_size=1)).next_page_token
    other = await new_person()
    for whose, asked in (
        (other, {}),
        (person, {"generation": f"generations/{history[0]}"}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await entries_of(whose, page_token=token, **asked)
        assert refusal_from(refused.value).reason == "PAGE_TOKEN_INVALID"


async def test_another_persons_generation_shows_nothing(
    history: list[UUID], new_person: People, entries_of: Any
) -> None:
    other = await new_person()
    assert not (await entries_of(other, generation=f"generations/{history[0]}")).entries
    assert len((await entries_of(other)).entries) == 1


@pytest.mark.parametrize(
    "asked", [{"page_size": -1}, {"generation": "generations/x"}, {"page_token": "x" * 401}]
)
async def test_a_wrong_request_is_told_where(asked: dict[str, Any], person: UUID, entries_of: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await entries_of(person, **asked)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_nobody_sees_credits_without_signing_in(person_calls: BillingServiceStub) -> None:
    for call in (
        person_calls.GetBalance(billing_pb2.GetBalanceRequest()),
        person_calls.ListEntries(billing_pb2.ListEntriesRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
