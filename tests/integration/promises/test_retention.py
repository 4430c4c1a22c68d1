"""Rows of the standard tables end when they are said to."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.assets.v1 import assets_pb2

from chassis.db import Database
from chassis.deadletters import DeadLetter, bury
from promises.retention import BATCH, ending, in_batches, standard_jobs
from promises.subjects import fence
from tests.integration.chassis_data.conftest import KEY
from tests.integration.chassis_data.rows import Row
from tests.support import FakeClock


async def sweep(db: Database) -> None:
    for job in standard_jobs(db, Row.metadata):
        await job.run()


@pytest.mark.promise("9-asneeded")
async def test_claims_requests_and_dead_letters_end_in_time(
    database_url: str, sql: asyncpg.Connection, account: UUID
) -> None:
    clock = FakeClock()
    erased = uuid4()
    await sql.execute("INSERT INTO tombstones VALUES ($1, $2)", erased, clock.now())

    async def left() -> list[int]:
        tables = ("inbox", "requests", "dead_letters")
        return [await sql.fetchval(f"SELECT count(*) FROM {name}") for name in tables]  # noqa: S608

    async with Database.open(database_url, clock=clock, new_id=uuid4, request_key=KEY, size=(1, 2)) as db:
        message = assets_pb2.CreateUploadRequest(filename="a.png")
        async with db.transaction() as tx:
            for key in ("a message", fence(account), fence(erased)):
                await tx.claim(key)
            await tx.replay(account, uuid4(), message, result="uploads/1")
        await bury(db, DeadLetter("1", "a.b", b"", "BUG", 10, clock.now()))
        await sweep(db)
        assert await left() == [3, 1, 1]
        clock.forward(timedelta(days=7, seconds=1))
        await sweep(db)
        assert await left() == [3, 0, 1]
        clock.forward(timedelta(days=7))
        await sweep(db)
        assert await left() == [1, 0, 1]  # what fences off an erased account stays with its tombstone
        assert await sql.fetchval("SELECT key FROM inbox") == fence(erased)
        clock.forward(timedelta(days=16))
        await sweep(db)
        assert await left() == [1, 0, 0]


@pytest.mark.promise("9-asneeded")
async def test_a_sweep_waits_for_nobody_and_leaves_nothing_else(
    database_url: str, sql: asyncpg.Connection, account: UUID
) -> None:
    clock = FakeClock()
    old = clock.now() - timedelta(days=90)
    for columns in (
        "inbox SELECT number, $1",
        "dead_letters SELECT number, 'a.b', '', 'BUG', 1, false, $1",
        f"requests SELECT '{account}', gen_random_uuid(), '', '', $1",
    ):
        await sql.execute(f"INSERT INTO {columns} FROM generate_series(0, $2::int) AS number", old, BATCH)
    tables = ("inbox", "dead_letters", "requests")

    async def left() -> list[int]:
        return [await sql.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608

    async with Database.open(database_url, clock=clock, new_id=uuid4, request_key=KEY, size=(1, 2)) as db:
        assert await left() == [BATCH + 1] * 3
        async with sql.transaction():
            for table in tables:
                await sql.execute(f"SELECT FROM {table} LIMIT 1 FOR UPDATE")
            await sweep(db)
        assert await left() == [1, 1, 1]
        await sweep(db)
        assert await left() == [0, 0, 0]


async def test_one_statement_ends_a_bounded_number_of_rows(
    database_url: str, sql: asyncpg.Connection
) -> None:
    clock = FakeClock()
    keys = [(f"{number}", clock.now()) for number in range(2 * BATCH + 1)]
    await sql.executemany("INSERT INTO inbox VALUES ($1, $2)", keys)
    everything = ending("inbox", "claimed <= :now")
    async with Database.open(database_url, clock=clock, new_id=uuid4, request_key=KEY, size=(1, 2)) as db:
        assert await db.execute(everything, now=clock.now()) == BATCH
        assert await in_batches(db, everything, now=clock.now()) == BATCH + 1
