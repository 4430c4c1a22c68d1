"""What the repository costs a hold and its capture: against the same two statements on bare asyncpg.

Both run on one PostgreSQL, in turns, with pools of the same size; a pair is two durable commits. One
hot person shows what waiting in the process (`Turns`) is worth against waiting in the database.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from chassis import migrate
from chassis.clock import Clock
from chassis.db import Database
from deploy.local.infra import Infra
from promises import subjects
from services.billing.domain import Gift
from services.billing.repository.ledger import PLACE, SETTLE, Ledger
from tests.bench.rows import Measure, Row, compare, rate
from tests.bench.servers import bare_pool

GOAL = 0.70
POOL = 16
PRICE = 4
LIFETIME = timedelta(hours=24)
MIGRATIONS = Path(__file__).parents[2] / "services" / "billing" / "migrations"
LOADS = (("1,000 people", 1000, 16, 0.4), ("one person", 1, 16, 0.6), ("one person", 1, 64, 1.0))
"""Who, how many, pairs in flight, seconds a turn."""
Pair = Callable[[UUID], Awaitable[None]]


def ours(ledger: Ledger) -> Pair:
    """A hold and its capture through the repository."""

    async def pair(account: UUID) -> None:
        generation = uuid4()
        placement = await ledger.place(account, generation, PRICE, LIFETIME)
        placement.accepted(generation, PRICE)
        assert await ledger.settle(generation, PRICE)

    return pair


def bare(pool: Any) -> Pair:
    """The same statements, prepared by asyncpg, results looked at and thrown away."""
    clock = Clock()

    async def pair(account: UUID) -> None:
        generation, now = uuid4(), clock.now()
        values: dict[str, Any] = {"account": account, "generation": generation, "credits": PRICE, "at": now}
        place = values | {"transaction": uuid4(), "expires_at": now + LIFETIME}
        async with pool.acquire() as connection:
            assert await connection.fetchrow(PLACE.text, *(place[name] for name in PLACE.names))
        settle = values | {"transaction": uuid4()}
        async with pool.acquire() as connection:
            assert await connection.fetchrow(SETTLE.text, *(settle[name] for name in SETTLE.names))

    return pair


async def people(db: Database, ledger: Ledger, number: int) -> list[UUID]:
    """So many people with more credits than the load can spend."""
    accounts = [uuid4() for _ in range(number)]
    async with db.transaction() as tx:
        for account in accounts:
            await subjects.begin(tx, account)
            await ledger.open(tx, account, Gift(10_000_000))
    return accounts


def turns(pair: Pair, accounts: list[UUID], in_flight: int, seconds: float) -> Measure:
    """The rate of pairs for people drawn at random."""
    return lambda: rate(lambda: pair(random.choice(accounts)), in_flight, seconds)


async def rows(infra: Infra) -> list[Row]:
    """One for each load."""
    url = infra.postgres.dsn("billing")
    await migrate.upgrade(url, MIGRATIONS)
    opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(POOL, POOL))
    answer = []
    async with opened as db, bare_pool(url, POOL) as pool:
        ledger = Ledger(db)
        for who, number, in_flight, seconds in LOADS:
            accounts = await people(db, ledger, number)
            answer.append(
                await compare(
                    f"hold and capture, {who}, {in_flight} in flight",
                    GOAL,
                    turns(ours(ledger), accounts, in_flight, seconds),
                    turns(bare(pool), accounts, in_flight, seconds),
                    load="two fsynced commits of ids and numbers a pair; no RPC before them; Unix socket",
                    unit="pairs/s",
                )
            )
    return answer
