"""What the data layer costs: ours against the bare libraries, same run, same servers, same rows.

Usage: python -m tests.bench.data [rounds]

Ours and bare alternate in each round; the figure is the median of the rounds. Prints one JSON object
a line: {"name", "ours", "bare", "ratio", "goal", "unit", "met"}.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop
from crafiq.identity.v1 import events_pb2
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import col

from chassis import events
from chassis.clock import Clock
from chassis.consumers import Consumers, Subscription
from chassis.db import Database, Statement, Transaction
from chassis.relay import Relay
from deploy.local.infra import Infra
from tests.integration.chassis_data.rows import Note, Row
from tests.integration.chassis_data.test_relay import revoked
from tests.integration.chassis_data.test_statements import a_note

IN_FLIGHT = 8
READ = Statement(select(Note).where(col(Note.id) == bindparam("note")), Note)
Measure = Callable[[], Awaitable[float]]


class Bench:
    """The servers, one account, and what is measured on them. Every measure answers a rate a second."""

    def __init__(self, db: Database, pool: Any, bus: Client, account: UUID) -> None:
        self.db, self.pool, self.bus, self.account = db, pool, bus, account
        self.event = revoked(account)
        self.subject, self.payload = events.subject_of(self.event), self.event.SerializeToString()
        self.js = bus.jetstream(publish_async_max_pending=10_000)

    async def relay(self, count: int = 5000) -> float:
        await self.pool.execute(
            "INSERT INTO outbox (id, subject, payload, traceparent, created)"
            " SELECT gen_random_uuid(), $1, $2, '', now() FROM generate_series(1, $3)",
            self.subject,
            self.payload,
            count,
        )
        relay, started = Relay(self.db, self.bus), time.perf_counter()
        assert await relay.flush() == count
        return count / (time.perf_counter() - started)

    async def publish(self, count: int = 5000) -> float:
        ids, started = [str(uuid4()) for _ in range(count)], time.perf_counter()
        for start in range(0, count, 500):
            futures = [
                await self.js.publish_async(self.subject, self.payload, headers={"Nats-Msg-Id": message_id})
                for message_id in ids[start : start + 500]
            ]
            await asyncio.gather(*futures)
        return count / (time.perf_counter() - started)

    async def inbox(self, batch: int, count: int) -> float:
        async def nothing(_tx: Transaction, _event: Any) -> None:
            pass

        subscription = Subscription("identity", events_pb2.SessionRevoked, nothing)
        consumers = Consumers("identity", self.db, self.bus, [subscription])
        messages = [
            Msg(self.bus, self.subject, "", self.payload, {"Nats-Msg-Id": str(uuid4())}) for _ in range(count)
        ]
        started = time.perf_counter()
        for start in range(0, count, batch):
            await consumers._commit(messages[start : start + batch])
        return count / (time.perf_counter() - started)

    async def create(self) -> float:
        return await in_flight(lambda: self.db.create(a_note(self.account), self.event))

    async def two_inserts(self) -> float:
        async def write() -> None:
            note = a_note(self.account)
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO notes (id, account, mood, words, written) VALUES ($1, $2, $3, $4, $5)",
                    note.id, note.account, note.mood, json.dumps(note.words), note.written,
                )  # fmt: skip
                await connection.execute(
                    "INSERT INTO outbox (id, subject, payload, traceparent, created)"
                    " VALUES ($1, $2, $3, '', now())",
                    uuid4(), self.subject, self.event.SerializeToString(),
                )  # fmt: skip

        return await in_flight(write)

    async def one_insert(self) -> float:
        async def write() -> None:
            note = a_note(self.account)
            await self.pool.execute(
                "WITH n AS (INSERT INTO notes (id, account, mood, words, written)"
                " VALUES ($1, $2, $3, $4, $5) RETURNING 1)"
                " INSERT INTO outbox (id, subject, payload, traceparent, created)"
                " SELECT $6, $7, $8, '', now() FROM n",
                note.id, note.account, note.mood, json.dumps(note.words), note.written,
                uuid4(), self.subject, self.event.SerializeToString(),
            )  # fmt: skip

        return await in_flight(write)

    async def read(self, note: UUID) -> float:
        return await in_flight(lambda: self.db.first(READ, note=note), 4000)

    async def fetch(self, note: UUID) -> float:
        return await in_flight(
            lambda: self.pool.fetchrow(
                "SELECT id, account, mood, words, written FROM notes WHERE id = $1", note
            ),
            4000,
        )


async def in_flight(action: Callable[[], Awaitable[Any]], count: int = 1600) -> float:
    """The rate of `count` actions, `IN_FLIGHT` at a time."""

    async def worker() -> None:
        for _ in range(count // IN_FLIGHT):
            await action()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - started)


async def compare(name: str, goal: float, ours: Measure, bare: Measure, rounds: int) -> None:
    pairs = [(await ours(), await bare()) for _ in range(rounds + 1)][1:]  # the first is warm-up
    ours_, bare_ = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = round(ours_ / bare_, 2)
    figures = {"ours": round(ours_), "bare": round(bare_), "ratio": ratio, "goal": goal}
    print(json.dumps({"name": name, **figures, "unit": "1/s", "met": ratio >= goal}), flush=True)


async def run(bench: Bench, rounds: int) -> None:
    note = a_note(bench.account)
    await bench.db.insert(note)
    await compare("relay / pipelined publish", 0.85, bench.relay, bench.publish, rounds)
    await compare(
        "inbox, batches of 100 / one by one",
        10,
        lambda: bench.inbox(100, 5000),
        lambda: bench.inbox(1, 500),
        rounds,
    )
    await compare(
        "create with event / two inserts in a transaction", 1.0, bench.create, bench.two_inserts, rounds
    )
    await compare("create with event / one bare statement", 0.7, bench.create, bench.one_insert, rounds)
    await compare(
        "read by key / bare", 0.6, lambda: bench.read(note.id), lambda: bench.fetch(note.id), rounds
    )


async def measure(infra: Infra, url: str, rounds: int) -> None:
    async def connect() -> Any:
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Row.metadata.create_all)
    user = "identity"
    bus = await events.connect(infra.nats.url, user, infra.nats.password(user), infra.tls_dir(user))
    opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(8, 8))
    async with opened as db, asyncpg.create_pool(url, min_size=8, max_size=8) as pool:
        account = uuid4()
        await pool.execute("INSERT INTO subjects VALUES ($1, now())", account)
        await run(Bench(db, pool, bus, account), rounds)
    await bus.close()


async def main(rounds: int) -> None:
    folder = tempfile.mkdtemp(prefix="crafiq-bench-")
    async with Infra(Path(folder)) as infra:
        admin = await asyncpg.connect(infra.postgres.admin_dsn)
        await admin.execute("CREATE DATABASE bench TEMPLATE template0")
        await admin.close()
        url = re.sub(r"/[^/?]*\?", "/bench?", infra.postgres.admin_dsn, count=1)
        # Services run on uvloop, which can't start the servers as another user.
        await asyncio.to_thread(lambda: uvloop.run(measure(infra, url, rounds)))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
