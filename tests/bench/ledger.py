"""What the repository costs a hold and its capture: against the same two statements on bare asyncpg.

Usage: python -m tests.bench.ledger [rounds]

Both run on one PostgreSQL, in turns, with pools of the same size; a pair is two durable commits. One
hot person shows what waiting in the process (`Turns`) is worth against waiting in the database.
Prints a JSON object a line: {"name", "ours", "bare", "ratio", "goal", "unit", "met"} (pairs a second).
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop

from chassis import migrate
from chassis.clock import Clock
from chassis.db import Database
from deploy.local.infra import Infra
from promises import subjects
from services.billing.domain import Gift
from services.billing.repository import PLACE, SETTLE, Ledger

GOAL = 0.70
POOL = 16
PRICE = 4
LIFETIME = timedelta(hours=24)
MIGRATIONS = Path(__file__).parents[2] / "services" / "billing" / "migrations"
LOADS = (("1000 people", 1000, 16), ("one person", 1, 16), ("one person", 1, 64))
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


async def rate(pair: Pair, accounts: list[UUID], in_flight: int, pairs: int) -> float:
    """Pairs a second with so many under way."""
    work = iter([random.choice(accounts) for _ in range(pairs)])

    async def worker() -> None:
        for account in work:
            await pair(account)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return pairs / (time.perf_counter() - started)


async def people(db: Database, ledger: Ledger, number: int) -> list[UUID]:
    """So many people with more credits than the load can spend."""
    accounts = [uuid4() for _ in range(number)]
    async with db.transaction() as tx:
        for account in accounts:
            await subjects.begin(tx, account)
            await ledger.open(tx, account, Gift(10_000_000))
    return accounts


async def measure(url: str, rounds: int) -> None:
    """Print a line for each load."""
    await migrate.upgrade(url, MIGRATIONS)
    async with AsyncExitStack() as stack:
        options = {"clock": Clock(), "new_id": uuid4, "request_key": b"k" * 32, "size": (POOL, POOL)}
        db = await stack.enter_async_context(Database.open(url, **options))
        pool = await stack.enter_async_context(asyncpg.create_pool(url, min_size=POOL, max_size=POOL))
        ledger = Ledger(db)
        for name, number, in_flight in (
            ("1000 people", 1000, 16),
            ("one person", 1, 16),
            ("one person", 1, 64),
        ):
            accounts = await people(db, ledger, number)
            found: list[tuple[float, float]] = []
            for _ in range(rounds + 1):
                pairs = 2000 if number > 1 else 1000
                found.append(
                    (
                        await rate(ours(ledger), accounts, in_flight, pairs),
                        await rate(bare(pool), accounts, in_flight, pairs),
                    )
                )
            report(f"ledger: hold and capture, {name}, {in_flight} in flight", found[1:])


def report(name: str, found: list[tuple[float, float]]) -> None:
    """One line: the medians, and the median of each round's ratio."""
    mine, theirs = (statistics.median(rates) for rates in zip(*found, strict=True))
    ratio = statistics.median(a / b for a, b in found)
    line = {"name": name, "ours": round(mine), "bare": round(theirs), "ratio": round(ratio, 3)}
    print(json.dumps(line | {"goal": GOAL, "unit": "pairs/s", "met": ratio >= GOAL}), flush=True)


async def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="crafiq-bench-") as folder:
        async with Infra(Path(folder)) as infra:
            # The launcher needs asyncio's own loop, services run on uvloop: that gets a thread of its own.
            await asyncio.to_thread(uvloop.run, measure(infra.postgres.dsn("billing"), rounds))


if __name__ == "__main__":
    asyncio.run(main())
