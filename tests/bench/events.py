"""What an event costs on its way: out of the outbox, into the inbox, and from its commit to its handler."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from crafiq.identity.v1 import events_pb2
from nats.aio.client import Client
from nats.aio.msg import Msg

from chassis import events
from chassis.clock import Clock
from chassis.consumers import Consumers, Subscription
from chassis.db import Database, Transaction
from chassis.relay import Relay
from deploy.local.infra import Infra
from tests.bench.rows import Row as Figures
from tests.bench.rows import compare, within
from tests.bench.servers import bare_pool, beside, database, until_left
from tests.integration.chassis_data.rows import Note, Row
from tests.integration.chassis_data.test_relay import revoked

EVENTS, POOL = 2000, 8
A_SECOND, SECONDS = 400, 5.0
P50, P99 = 2.0, 15.0  # milliseconds


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

    async def write(self, number: int, committed: dict[str, float]) -> None:
        """The `number`th row of a load, with its event, at its time; and when it was committed."""
        await asyncio.sleep(number / A_SECOND)
        session, words = str(uuid4()), {"de": "Grüße"}
        note = Note(id=uuid4(), account=self.account, mood=None, words=words, written=self.db.clock.now())
        await self.db.create(note, revoked(self.account, session))
        committed[session] = time.time()


async def out_and_in(bench: Bench) -> list[Figures]:
    """The way out and the way in of an event, as fast as it goes."""
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


async def _hear(url: str, nats_url: str, password: str, folder: Path, out: Any) -> None:
    """Another service: it notes when a handler gets each event, and tells when it is asked."""
    heard: dict[str, float] = {}

    async def handle(_tx: Transaction, event: events_pb2.SessionRevoked) -> None:
        heard[event.session.removeprefix("sessions/")] = time.time()

    bus = await events.connect(nats_url, "billing", password, folder)
    opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(4, POOL))
    async with opened as db:
        subscription = Subscription("identity", events_pb2.SessionRevoked, handle)
        working = asyncio.create_task(Consumers("billing", db, bus, [subscription]).run())
        out.send(None)
        wanted: set[str] = await asyncio.to_thread(out.recv)
        while not wanted <= heard.keys():
            await asyncio.sleep(0.05)
        out.send(heard)
        await until_left(out)
        working.cancel()


async def delivered(bench: Bench, infra: Infra, url: str) -> list[Figures]:
    """From commit to handler, in another process with a database of its own, at a steady rate."""
    committed: dict[str, float] = {}
    relaying = asyncio.create_task(Relay(bench.db, bench.bus).run())
    password, folder = infra.nats.password("billing"), infra.tls_dir("billing")
    with beside(_hear, url, infra.nats.url, password, folder) as other:
        await asyncio.to_thread(other.recv)
        async with asyncio.TaskGroup() as group:
            for number in range(int(A_SECOND * SECONDS)):
                group.create_task(bench.write(number, committed))
        other.send(set(committed))
        heard = await asyncio.to_thread(other.recv)
    relaying.cancel()
    late = [(heard[session] - committed[session]) * 1000 for session in committed]
    load = f"{A_SECOND} events/s for {SECONDS:g} s, {len(bench.payload)} B each; two processes, NATS over TLS"
    p50, p99 = statistics.median(late), statistics.quantiles(late, n=100)[98]
    return [
        within("commit to handler, p50", p50, P50, "ms", load=load),
        within("commit to handler, p99", p99, P99, "ms", load=load),
    ]


async def rows(infra: Infra) -> list[Figures]:
    """Rates out and in, and the time between."""
    url, user = await database(infra, "events", Row.metadata), "identity"
    other = await database(infra, "hearing", Row.metadata)
    bus = await events.connect(infra.nats.url, user, infra.nats.password(user), infra.tls_dir(user))
    opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(POOL, POOL))
    async with opened as db, bare_pool(url, POOL) as pool:
        account = uuid4()
        await pool.execute("INSERT INTO subjects VALUES ($1, now())", account)
        bench = Bench(db, pool, bus, account)
        # First: afterwards the stream has thousands that nobody has heard yet.
        answer = [*await delivered(bench, infra, other), *await out_and_in(bench)]
    await bus.close()
    return answer
