"""Connections at hand: lent on without the pool, and the pool's again as soon as anything is not as usual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from chassis.clock import Clock
from chassis.connections import Connections, _lives
from chassis.db import Database, DatabaseUnavailable, Statement, scalar
from tests.support import eventually

LEAST, MOST = 1, 3
BACKEND = Statement(text("SELECT pg_backend_pid()"), scalar)
SLOW = Statement(text("SELECT pg_backend_pid() FROM pg_sleep(0.2)"), scalar)
LONG = Statement(text("SELECT pg_backend_pid() FROM pg_sleep(2)"), scalar)
BROKEN = Statement(text("SELECT 1 / 0"), scalar)


class Watched:
    """asyncpg's pool, and how often it was asked for a connection and given one back."""

    def __init__(self, url: str, most: int = MOST) -> None:
        self._pool = asyncpg.create_pool(url, min_size=LEAST, max_size=most)
        self.lent = self.taken_back = 0

    async def __aenter__(self) -> None:
        await self._pool.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._pool.__aexit__(*error)

    def terminate(self) -> None:
        self._pool.terminate()

    @property
    def closed(self) -> bool:
        return bool(self._pool._closed)

    async def acquire(self) -> Any:
        self.lent += 1
        return await self._pool.acquire()

    async def release(self, connection: Any) -> None:
        self.taken_back += 1
        await self._pool.release(connection)


@asynccontextmanager
async def opened(pool: Watched) -> AsyncIterator[Database]:
    async with Connections(pool, LEAST) as connections:
        yield Database(connections, Clock(), uuid4, b"k" * 32)


async def test_one_statement_after_the_other_asks_the_pool_once(database_url: str) -> None:
    pool = Watched(database_url)
    async with opened(pool) as db:
        assert len({await db.one(BACKEND) for _ in range(20)}) == 1
        for _ in range(20):
            async with db.transaction() as tx:
                await tx.one(BACKEND)
        assert (pool.lent, pool.taken_back) == (1, 0)
    assert pool.taken_back == 1, "it closes with the pool"


async def test_more_than_are_kept_go_back(database_url: str) -> None:
    pool = Watched(database_url)
    async with opened(pool) as db:
        backends = await asyncio.gather(*(db.one(SLOW) for _ in range(MOST)))
        assert len(set(backends)) == MOST
        assert (pool.lent, pool.taken_back) == (MOST, MOST - LEAST)


@pytest.mark.parametrize("most", [LEAST, MOST])
async def test_who_waits_gets_the_next_one(database_url: str, most: int) -> None:
    async with opened(Watched(database_url, most)) as db, asyncio.timeout(20):
        backends = await asyncio.gather(*(db.one(SLOW) for _ in range(4 * most)))
        assert len(set(backends)) == most
        assert len(backends) == 4 * most


async def test_one_with_which_something_went_wrong_is_the_pools(database_url: str) -> None:
    pool = Watched(database_url)
    async with opened(pool) as db:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await db.one(BROKEN)
        assert pool.taken_back == 1
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with db.transaction() as tx:
                await tx.one(BROKEN)
        assert pool.taken_back == 2


async def test_one_that_is_cancelled_is_the_pools_and_disturbs_nobody(database_url: str) -> None:
    pool = Watched(database_url)
    async with opened(pool) as db:
        for _ in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await db.one(SLOW)
            assert await db.one(BACKEND)
        assert pool.taken_back == 10


async def test_who_gives_up_waiting_leaves_its_turn_to_others(database_url: str) -> None:
    async with opened(Watched(database_url)) as db, asyncio.timeout(10):
        busy = [asyncio.create_task(db.one(LONG)) for _ in range(MOST)]
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await db.one(BACKEND)
        await asyncio.gather(*busy)
        assert await asyncio.gather(*(db.one(BACKEND) for _ in range(MOST)))


async def test_nobody_notices_that_one_ended_while_it_was_at_hand(
    database_url: str, sql: asyncpg.Connection
) -> None:
    async with opened(Watched(database_url)) as db:
        for _ in range(5):
            backend = await db.one(BACKEND)
            await sql.execute("SELECT pg_terminate_backend($1)", backend)
            (at_hand,) = db._connections._kept
            await eventually(lambda one=at_hand: not _lives(one))  # the client has heard of it
            assert await db.one(BACKEND) != backend


async def test_what_was_answered_counts_although_its_server_ended_then(
    database_url: str, sql: asyncpg.Connection
) -> None:
    async with opened(Watched(database_url)) as db:
        async with db._connection() as connection:
            backend = await connection.fetchval(BACKEND.text)
            await sql.execute("SELECT pg_terminate_backend($1)", backend)
            await eventually(lambda: not _lives(connection))
        assert await db.one(BACKEND) != backend


async def test_a_transaction_whose_server_ends_in_it_is_an_outage(
    database_url: str, sql: asyncpg.Connection
) -> None:
    async def cut_off() -> None:
        async with db.transaction() as tx:
            await sql.execute("SELECT pg_terminate_backend($1)", await tx.one(BACKEND))
            await asyncio.sleep(0.2)
            await tx.one(BACKEND)

    async with opened(Watched(database_url)) as db:
        with pytest.raises(DatabaseUnavailable):
            await cut_off()


async def test_each_comes_by_at_the_pool_now_and_then(database_url: str) -> None:
    pool = Watched(database_url)
    async with opened(pool) as db:
        for _ in range(2001):
            await db.one(BACKEND)
        assert (pool.lent, pool.taken_back) == (3, 2)


async def test_what_is_under_way_when_it_closes_is_waited_for(database_url: str) -> None:
    pool = Watched(database_url)
    async with asyncio.timeout(20):
        async with opened(pool) as db:
            assert await db.one(BACKEND)
            under_way = asyncio.create_task(db.one(SLOW))
            await asyncio.sleep(0.05)
        assert pool.closed
        assert await under_way


async def test_one_that_closes_is_lent_to_nobody(database_url: str) -> None:
    pool = Watched(database_url)
    async with asyncio.timeout(20):
        async with opened(pool) as db:
            assert await db.one(BACKEND)
            late = asyncio.get_running_loop().create_task(db.one(SLOW))
        assert pool.closed
        assert isinstance((await asyncio.gather(late, return_exceptions=True))[0], (int, DatabaseUnavailable))


@pytest.mark.parametrize("turns", range(4))
async def test_the_pool_closes_also_when_closing_is_cancelled(database_url: str, turns: int) -> None:
    pool = Watched(database_url)

    async def used() -> None:
        async with opened(pool) as db:
            assert await db.one(BACKEND)
            closing.set()

    closing = asyncio.Event()
    using = asyncio.create_task(used())
    await closing.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    using.cancel()
    await asyncio.wait([using])
    assert pool.closed
