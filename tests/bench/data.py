"""What the data layer costs: ours against the bare libraries, same run, same servers, same rows.

The data layer alone, without the RPC in front of it. The relay and the inbox take whole batches; the
others keep `IN_FLIGHT` statements under way.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any
from uuid import UUID, uuid4

import asyncpg
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
from tests.bench.rows import Row as Figures
from tests.bench.rows import compare, rate
from tests.bench.servers import bare_pool
from tests.integration.chassis_data.rows import Note, Row
from tests.integration.chassis_data.test_relay import revoked
from tests.integration.chassis_data.test_statements import a_note

IN_FLIGHT = 8
READ = Statement(select(Note).where(col(Note.id) == bindparam("note")), Note)
EVENTS = 2000


class Bench:
    """The servers, one account, and what is measured on them. Every measure answers a rate a second."""

    def __init__(self, db: Database, pool: Any, bus: Client, account: UUID) -> None:
        self.db, self.pool, self.bus, self.account = db, pool, bus, account
        self.event = revoked(account)
        self.subject, self.payload = events.subject_of(self.event), self.event.SerializeToString()
        self.js = bus.jetstream(publish_async_max_pending=10_000)

    async def relay(self, count: int = EVENTS) -> float:
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

    async def publish(self, count: int = EVENTS) -> float:
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
        return await rate(lambda: self.db.create(a_note(self.account), self.event), IN_FLIGHT)

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

        return await rate(write, IN_FLIGHT)

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

        return await rate(write, IN_FLIGHT)

    async def read(self, note: UUID) -> float:
        return await rate(lambda: self.db.first(READ, note=note), IN_FLIGHT)

    async def fetch(self, note: UUID) -> float:
        return await rate(
            lambda: self.pool.fetchrow(
                "SELECT id, account, mood, words, written FROM notes WHERE id = $1", note
            ),
            IN_FLIGHT,
        )


async def events_rows(bench: Bench) -> list[Figures]:
    """The way out and the way in of an event."""
    load = f"{len(bench.payload)} B an event; NATS over TLS, Unix socket"
    return [
        await compare(
            "relay / pipelined publish", 0.85, bench.relay, bench.publish, load=load, unit="events/s"
        ),
        await compare(
            "inbox, batches of 100 / one by one",
            10,
            lambda: bench.inbox(100, EVENTS),
            lambda: bench.inbox(1, 200),
            load=f"{len(bench.payload)} B an event; Unix socket",
            unit="events/s",
        ),
    ]


async def row_rows(bench: Bench, note: Note) -> list[Figures]:
    """Writing and reading one row."""
    size = len(json.dumps(note.words)) + len(bench.payload)
    write = f"{size} B of words and event, fsynced; Unix socket; {IN_FLIGHT} in flight"
    read = f"{len(json.dumps(note.words))} B of words; Unix socket; {IN_FLIGHT} in flight"
    two, one = "create with event / two inserts in a transaction", "create with event / one bare statement"
    return [
        await compare(two, 1.1, bench.create, bench.two_inserts, load=write),
        await compare(one, 0.75, bench.create, bench.one_insert, load=write),
        await compare(
            "read by key / bare", 0.6, lambda: bench.read(note.id), lambda: bench.fetch(note.id), load=read
        ),
    ]


async def prepared(infra: Infra) -> str:
    """The URL of a database of its own, with the tables."""
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute("CREATE DATABASE bench TEMPLATE template0")
    await admin.close()
    url = re.sub(r"/[^/?]*\?", "/bench?", infra.postgres.admin_dsn, count=1)

    async def connect() -> Any:
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Row.metadata.create_all)
    return url


async def rows(infra: Infra) -> list[Figures]:
    """All comparisons, on these servers."""
    url, user = await prepared(infra), "identity"
    bus = await events.connect(infra.nats.url, user, infra.nats.password(user), infra.tls_dir(user))
    size = (IN_FLIGHT, IN_FLIGHT)
    opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=size)
    async with opened as db, bare_pool(url, IN_FLIGHT) as pool:
        account = uuid4()
        await pool.execute("INSERT INTO subjects VALUES ($1, now())", account)
        bench, note = Bench(db, pool, bus, account), a_note(account)
        await db.insert(note)
        answer = await events_rows(bench) + await row_rows(bench, note)
    await bus.close()
    return answer
