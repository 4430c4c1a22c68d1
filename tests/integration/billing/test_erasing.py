"""Whose account is deleted has no wallet left; the books stay, balance, and say nothing of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
import pytest
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.generation.v1 import events_pb2 as generation
from crafiq.promises.v1 import promises_pb2

from chassis.db import Isolation
from services.billing.domain import Balance, kept_until
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, People, Sql, verified
from tests.integration.billing.test_holds import place, release
from tests.integration.in_process import Neighbours
from tests.integration.leaving import deleted, erased, isolation, later, naming
from tests.support import FakeClock, eventually

__all__ = ["isolation"]
promise = pytest.mark.promise("9-delete-now", "9-tax")


async def leave(billing: Neighbours, account: UUID) -> promises_pb2.Findings:
    """Delete the account, as billing hears of it; answers what is found there afterwards."""
    erasure = uuid4()
    await billing.announce("identity", deleted(account, erasure))
    clock = billing.service.clock
    assert isinstance(clock, FakeClock)
    return await erased(await billing.channel("privacy"), account, erasure, clock)


async def remains(sql: Sql, account: UUID) -> dict[str, int]:
    """Rows that name somebody, by table."""
    return dict(await naming(sql.fetch, account))


async def book_of(sql: Sql, account: UUID) -> UUID:
    """Under which number the ledger knows somebody, as long as it does."""
    book: UUID = await sql.fetchval("SELECT book FROM wallets WHERE account = $1", account)
    return book


async def moved(sql: Sql, book: UUID) -> tuple[int, int, int]:
    """What a book's lots say: granted, held, settled; they add up, or this raises."""
    lots = await sql.fetchrow(
        "SELECT sum(granted) AS granted, sum(available) AS available, sum(held) AS held,"
        " sum(settled) AS settled, sum(expired) AS expired FROM lots WHERE book = $1",
        book,
    )
    assert lots is not None
    assert lots["granted"] == lots["available"] + lots["held"] + lots["settled"] + lots["expired"]
    return lots["granted"], lots["held"], lots["settled"]


def succeeded(account: UUID, job: UUID, price: int) -> generation.GenerationSucceeded:
    return generation.GenerationSucceeded(
        account=f"accounts/{account}", generation=f"generations/{job}", credits=price
    )


def cancelled(account: UUID, job: UUID) -> generation.GenerationCancelled:
    return generation.GenerationCancelled(account=f"accounts/{account}", generation=f"generations/{job}")


@promise
async def test_the_wallet_goes_and_the_books_stay_as_nobodys(
    billing: Neighbours, new_person: People, generation_calls: BillingServiceStub, ledger: Ledger, sql: Sql
) -> None:
    person, other, job = await new_person(), await new_person(), uuid4()
    await generation_calls.PlaceHold(place(person, job, 30))
    book = await book_of(sql, person)
    found = await leave(billing, person)
    assert (list(found.found), list(found.left)) == ([], [])
    assert await remains(sql, person) == {}
    assert await moved(sql, book) == (GRANT, 30, 0)
    until = await sql.fetchval("SELECT until FROM closed_books WHERE book = $1", book)
    assert until == kept_until(datetime.now(UTC))
    with pytest.raises(grpc.aio.AioRpcError):
        await generation_calls.PlaceHold(place(person, uuid4(), 1))
    # The last words about a job go through: they are about the ledger and not about the person.
    await billing.announce("generation", cancelled(person, job))
    await eventually(lambda: _is(moved(sql, book), (GRANT, 0, 0)))
    assert await ledger.balance(other) == Balance(GRANT, 0, 0)


@promise
async def test_what_was_delivered_is_settled_although_its_person_is_gone(
    billing: Neighbours, new_person: People, generation_calls: BillingServiceStub, sql: Sql
) -> None:
    person, job = await new_person(), uuid4()
    await generation_calls.PlaceHold(place(person, job, 30))
    book = await book_of(sql, person)
    await leave(billing, person)
    for _ in range(2):
        await billing.announce("generation", succeeded(person, job, 20))
    await eventually(lambda: _is(moved(sql, book), (GRANT, 0, 20)))
    assert await remains(sql, person) == {}


@promise
async def test_news_of_a_person_that_comes_after_their_end_opens_no_wallet(
    billing: Neighbours, sql: Sql, new_person: People
) -> None:
    never, again = uuid4(), await new_person()
    for person in (never, again):
        await leave(billing, person)
        await billing.announce("identity", verified(person))
    await new_person()  # whose news come later on the same stream
    assert [await remains(sql, person) for person in (never, again)] == [{}, {}]


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    billing: Neighbours,
    new_person: People,
    generation_calls: BillingServiceStub,
    sql: Sql,
    isolation: Isolation,
) -> None:
    """Holds are placed, given back and captured while the wallet goes; then the last words come."""
    chance, ends = random.Random(20261127), Counter[str]()
    for number in range(20):
        if number >= 5 and min(ends["done"], ends["refused"]) > 3:
            break
        person, jobs = await new_person(), [uuid4() for _ in range(12)]
        book = await book_of(sql, person)
        for job in jobs[:4]:
            await generation_calls.PlaceHold(place(person, job, 5))
        at_work: list[Awaitable[Any]] = [
            *(asked(generation_calls.PlaceHold, place(person, job, 5)) for job in jobs[4:]),
            asked(generation_calls.ReleaseHold, release(person, jobs[0])),
            billing.announce("generation", succeeded(person, jobs[1], 5)),
            billing.announce("generation", cancelled(person, jobs[2])),
            billing.announce("identity", verified(person)),
        ]
        tasks = [later(chance.uniform(0, 0.15), each) for each in at_work]
        outcomes = await asyncio.gather(*tasks, later(0.01, leave(billing, person)), return_exceptions=True)
        assert not isinstance(outcomes[-1], BaseException), outcomes[-1]
        for outcome in outcomes[:-1]:
            assert not isinstance(outcome, BaseException) or isinstance(outcome, grpc.aio.AioRpcError), (
                outcome
            )
            ends["refused" if isinstance(outcome, BaseException) else "done"] += 1
        assert await remains(sql, person) == {}
        for job in {*jobs} - {jobs[1]}:
            await billing.announce("generation", cancelled(person, job))
        await eventually(lambda book=book: _is(moved(sql, book), (GRANT, 0, 5)))  # type: ignore[misc]  # bound now
    assert min(ends["done"], ends["refused"]) > 3, ends  # the race was one


async def asked(rpc: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
    """Call it when this is awaited, and not before."""
    return await rpc(request)


async def _is(found: Awaitable[Any], wanted: Any) -> bool:
    answer = await found
    assert answer == wanted
    return True
