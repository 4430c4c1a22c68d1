"""What payments leave of somebody: kept until the law's day, nobody's, then gone, and the books add up."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.promises.v1 import promises_pb2

from chassis import migrate
from deploy.local.infra import Infra
from services.billing.domain import BOOKS_GROUND, CARRIED, Gift, kept_until
from services.billing.jobs import Expiry
from tests.integration.billing.conftest import LIFETIME, Sql
from tests.integration.billing.till import (
    Bank,
    Till,
    a_till,
    empty_database,
    till,
    till_bank,
    till_clock,
    till_database,
)
from tests.support import FakeClock
from tools.migration import folder_of

__all__ = ["till", "till_bank", "till_clock", "till_database"]
promise = pytest.mark.promise("9-tax", "4-obligation")
LEFT, DAY = datetime(2012, 5, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
"""Days that have passed for the database, which goes by its own clock; the service's is moved."""
MOMENT = timedelta(seconds=1)
OTHERS = "book <> $1 AND book <> $2"
OF_BOOKS = ("lots", "transfers", "holds", "closed_books")


@dataclass
class Years:
    """Billing in 2012, and its database seen from outside."""

    till: Till
    sql: Sql

    async def spender(self) -> tuple[UUID, UUID]:
        """Somebody who was given 100 and 10, spent 20 and lost 6 to the time; and their book."""
        person = await self.till.person()
        await self.till.ledger.grant(person, Gift(10, MOMENT))
        await self.delivered(person, 4)
        self.till.clock.forward(MOMENT)
        await Expiry(self.till.ledger).run()
        await self.delivered(person, 16)
        return person, await self.till.book(person)

    async def delivered(self, person: UUID, price: int) -> None:
        """A job was ordered, and cost this."""
        job = uuid4()
        await self.till.ledger.place(person, job, 30, LIFETIME)
        await self.till.ledger.settle(job, price)

    async def leave(self, person: UUID) -> None:
        """They delete their account."""
        await self.till.eraser.through(self.till.wanted(person))

    async def until(self, moment: datetime) -> int:
        """Time passes, and the job comes by; answers how many books it removed."""
        self.till.clock.forward(moment - self.till.clock.now())
        return await self.till.books.sweep()

    async def rows(self, where: str, *values: Any) -> dict[str, list[str]]:
        """By table, what is there of books."""
        found = {}
        for table in OF_BOOKS:
            rows = f"SELECT each::text FROM {table} AS each WHERE {where} ORDER BY 1"  # noqa: S608  # our own words
            found[table] = [row[0] for row in await self.sql.fetch(rows, *values)]
        return {table: rows for table, rows in found.items() if rows}

    async def totals(self) -> dict[str, int]:
        """The house's: zero in all, and what the transfers say."""
        rows = await self.sql.fetch("SELECT * FROM trial_balance")
        assert sum(row["balance"] for row in rows) == 0
        assert all(row["balance"] == row["transferred"] for row in rows)
        return {row["account"]: row["balance"] for row in rows}

    async def carried(self) -> Counter[tuple[str, int]]:
        """What was carried forward: an account and an amount each."""
        asked = "SELECT credit, amount FROM transfers WHERE book = $1"
        return Counter(tuple(row) for row in await self.sql.fetch(asked, CARRIED))


@pytest.fixture
async def years(till_database: str, till_bank: Bank) -> AsyncIterator[Years]:
    sql = await asyncpg.connect(till_database)
    async with a_till(till_database, FakeClock(LEFT), till_bank) as made:
        yield Years(made, sql)
    await sql.close()


@promise
async def test_a_book_goes_on_its_day_and_all_totals_stay(years: Years) -> None:
    person, book = await years.spender()
    later, _ = await years.spender()
    await years.spender()
    await years.till.ledger.release(bookless := uuid4())
    await years.leave(person)
    years.till.clock.forward(timedelta(days=365))
    await years.leave(later)
    await years.till.ledger.release(of_later := uuid4())
    mine, others = await years.rows("book = $1", book), await years.rows(OTHERS, book, CARRIED)
    assert await years.till.ledger.hold(bookless)
    totals, carried = await years.totals(), await years.carried()
    assert {table: len(rows) for table, rows in mine.items()} == {
        "lots": 2, "transfers": 11, "holds": 2, "closed_books": 1,
    }  # fmt: skip

    assert await years.until(DAY - MOMENT) == 0
    assert await years.rows("book = $1", book) == mine
    assert await years.until(DAY) == 1
    assert await years.rows("book = $1", book) == {}
    assert await years.rows(OTHERS, book, CARRIED) == others
    assert await years.till.ledger.hold(of_later)
    assert not await years.till.ledger.hold(bookless)
    assert await years.totals() == totals
    assert {*(await years.carried() - carried)} == {("AVAILABLE", 84), ("EXPIRED", 6), ("SETTLED", 20)}
    assert await years.until(DAY) == 0


@promise
async def test_a_book_in_which_something_is_held_waits_for_that_to_settle(years: Years) -> None:
    person, job = await years.till.person(), uuid4()
    book = await years.till.book(person)
    await years.till.ledger.place(person, job, 30, LIFETIME)
    await years.leave(person)
    assert await years.until(DAY + MOMENT) == 0
    with pytest.raises(asyncpg.RestrictViolationError):
        await years.sql.execute("DELETE FROM closed_books WHERE book = $1", book)
    assert (await years.rows("book = $1", book)).keys() == {*OF_BOOKS}
    await years.till.ledger.settle(job, 30)
    assert await years.until(DAY + MOMENT) == 1
    assert await years.rows("book = $1", book) == {}


@promise
async def test_many_books_are_removed_in_batches_by_two_at_once_and_once(years: Years) -> None:
    people = [await years.till.person() for _ in range(7)]
    for person in people:
        await years.leave(person)
    totals = await years.totals()
    years.till.clock.forward(DAY - LEFT)
    removed = await asyncio.gather(*(years.till.books.sweep(batch=2) for _ in range(2)))
    assert sum(removed) == len(people)
    assert await years.totals() == totals


async def test_more_than_an_int32_is_carried_forward(years: Years) -> None:
    person, before = await years.till.person(), await years.carried()
    for _ in range(2):
        await years.till.ledger.grant(person, Gift(2_000_000_000))
    await years.leave(person)
    totals = await years.totals()
    assert await years.until(DAY) == 1
    assert await years.totals() == totals
    carried = await years.carried() - before
    assert carried == {("AVAILABLE", 2_000_000_000): 2, ("AVAILABLE", 100): 1}


@promise
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM closed_books",
        "DELETE FROM closed_books WHERE book = $1",
        "UPDATE closed_books SET until = '2000-01-01' WHERE book = $1",
        "TRUNCATE closed_books",
        "DELETE FROM lots WHERE book = $1",
        "DELETE FROM transfers WHERE book = $1",
        "DELETE FROM holds WHERE book = $1",
    ],
)
async def test_before_its_day_the_database_removes_nothing(statement: str, till: Till, years: Years) -> None:
    person = await till.person()
    book = await till.book(person)
    await till.eraser.through(till.wanted(person))
    stands = await years.rows("true")
    with pytest.raises(asyncpg.RestrictViolationError):
        await years.sql.execute(statement, *([book] if "$1" in statement else []))
    assert await years.rows("true") == stands


@promise
async def test_a_service_whose_clock_is_wrong_removes_nothing(till: Till, years: Years) -> None:
    person = await till.person()
    book = await till.book(person)
    await till.eraser.through(till.wanted(person))
    till.clock.forward(kept_until(till.clock.now()) - till.clock.now())
    with pytest.raises(asyncpg.RestrictViolationError):
        await till.books.sweep()
    assert (await years.rows("book = $1", book)).keys() == {"lots", "transfers", "closed_books"}


@promise
async def test_the_book_of_who_is_still_here_is_not_removed_whoever_says_so(years: Years) -> None:
    person = await years.till.person()
    book = await years.till.book(person)
    forged = years.sql.transaction()
    await forged.start()
    await years.sql.execute("INSERT INTO closed_books VALUES ($1, '2000-01-01')", book)
    with pytest.raises(asyncpg.RestrictViolationError):
        await years.sql.execute("DELETE FROM closed_books WHERE book = $1", book)
    await forged.rollback()
    with pytest.raises(asyncpg.CheckViolationError):
        await years.sql.execute("INSERT INTO closed_books VALUES ($1, '2000-01-01')", CARRIED)


@promise
@pytest.mark.promise("9-delete-preview")
async def test_a_plan_says_until_when_and_on_which_ground(years: Years) -> None:
    person, _ = await years.spender()
    plan = await years.till.holdings.plan(person)
    (kept,) = [each for each in plan.buckets if each.fate == promises_pb2.RETAINED_UNTIL]
    assert (kept.ground, kept.until.ToDatetime(tzinfo=UTC)) == (BOOKS_GROUND, DAY)
    assert {each.category: each.count for each in kept.counts} == {"PAYMENT": 2 + 11 + 2}
    assert promises_pb2.ANONYMISED not in {each.fate for each in plan.buckets}


@promise
async def test_books_of_people_who_left_before_there_were_dates_get_one(
    infra: Infra, till_bank: Bank, tmp_path: Path
) -> None:
    for each in (folder_of("billing") / "versions").glob("000[1-6]*.py"):
        (tmp_path / "versions").mkdir(exist_ok=True)
        shutil.copy(each, tmp_path / "versions")
    async with empty_database(infra) as url, a_till(url, FakeClock(LEFT), till_bank) as till:
        await migrate.upgrade(url, tmp_path)
        stays, left = await till.person(), await till.person()
        book = await till.book(left)
        sql = await asyncpg.connect(url)
        await sql.execute("DELETE FROM wallets WHERE account = $1", left)
        await migrate.upgrade(url, folder_of("billing"))
        assert [tuple(row) for row in await sql.fetch("SELECT * FROM closed_books")] == [(book, DAY)]
        await till.ledger.place(stays, job := uuid4(), 5, LIFETIME)
        assert await till.ledger.settle(job, 5)
        await sql.close()
