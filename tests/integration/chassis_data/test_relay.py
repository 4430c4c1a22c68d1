"""What is committed is published: in order, through outages, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.identity.v1 import events_pb2
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.aio.msg import Msg

from chassis import telemetry
from chassis.db import Database
from chassis.relay import NotAcknowledged, Relay
from tests.integration.chassis_data.conftest import Bus
from tests.support import eventually

SessionRevoked = events_pb2.SessionRevoked


def revoked(account: UUID, session: str = "") -> SessionRevoked:
    return SessionRevoked(account=f"accounts/{account}", session=f"sessions/{session or uuid4()}")


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def published(bus_server: Bus) -> AsyncIterator[list[Msg]]:
    """Every message that identity's stream took, in order."""
    client = await bus_server.connect()
    seen: list[Msg] = []

    async def see(message: Msg) -> None:
        seen.append(message)

    await client.jetstream().subscribe("crafiq.identity.>", stream="IDENTITY", cb=see, ordered_consumer=True)
    yield seen
    await client.close()


async def announce(db: Database, *events: Message) -> None:
    async with db.transaction() as tx:
        for event in events:
            tx.emit(event)


async def emptied(sql: asyncpg.Connection) -> bool:
    return not await sql.fetchval("SELECT count(*) FROM outbox")


async def test_an_event_is_published_under_its_subject_id_and_trace(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    event = revoked(account)
    with telemetry.span("test"):
        await announce(db, event)
        trace = telemetry.traceparent()
    message_id = await sql.fetchval("SELECT id FROM outbox")
    assert await Relay(db, bus).flush() == 1
    [message] = await eventually(lambda: published)
    assert message.subject == f"crafiq.identity.v1.SessionRevoked.{account}"
    assert message.headers == {"Nats-Msg-Id": str(message_id), "traceparent": trace}
    assert SessionRevoked.FromString(message.data) == event
    assert await emptied(sql)


async def test_events_keep_the_order_they_were_announced_in(
    db: Database, bus: Client, published: list[Msg], account: UUID
) -> None:
    expected = [f"sessions/{n}" for n in range(1200)]
    for start in range(0, 1200, 300):
        await announce(db, *(revoked(account, str(n)) for n in range(start, start + 300)))
    assert await Relay(db, bus).flush() == 1200
    await eventually(lambda: len(published) == 1200)
    assert [SessionRevoked.FromString(m.data).session for m in published] == expected


async def test_a_commit_wakes_the_relay(
    db: Database, bus: Client, published: list[Msg], account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.relay.POLL", 60)
    async with running(Relay(db, bus)):
        await asyncio.sleep(0.1)  # it is waiting by now
        await announce(db, revoked(account))
        await eventually(lambda: published)


async def test_what_another_process_committed_is_found_by_polling(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    async with running(Relay(db, bus)):
        await asyncio.sleep(0.1)
        await sql.execute(
            "INSERT INTO outbox (id, subject, payload, traceparent, created) VALUES ($1, $2, '', '', now())",
            uuid4(),
            f"crafiq.identity.v1.SessionRevoked.{account}",
        )
        await eventually(lambda: published, timeout=2)


async def test_what_is_rolled_back_is_never_published(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    async def fail() -> None:
        async with db.transaction() as tx:
            tx.emit(revoked(account))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    await announce(db, last := revoked(account))
    assert await Relay(db, bus).flush() == 1
    await eventually(lambda: published)
    assert [SessionRevoked.FromString(m.data) for m in published] == [last]


async def test_nothing_is_lost_while_the_bus_is_down(
    db: Database, bus: Client, bus_server: Bus, sql: asyncpg.Connection, account: UUID
) -> None:
    async with running(Relay(db, bus)):
        await announce(db, revoked(account))
        await eventually(lambda: emptied(sql))
        await bus_server.kill()
        for _ in range(5):
            await announce(db, revoked(account))
        await asyncio.sleep(0.3)
        assert await sql.fetchval("SELECT count(*) FROM outbox") == 5
        await bus_server.start()
        await eventually(lambda: emptied(sql), timeout=15)
    client = await bus_server.connect()
    assert (await client.jetstream().stream_info("IDENTITY")).state.messages == 6
    await client.close()


async def test_the_relay_outlives_the_end_of_its_database_connections(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    async with running(Relay(db, bus)):
        for number in range(1, 6):
            await sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await eventually(lambda: _announced(db, account))
            await eventually(lambda number=number: len(published) == number)


async def _announced(db: Database, account: UUID) -> bool:
    try:
        await announce(db, revoked(account))
    except Exception as error:
        raise AssertionError from error
    return True


async def test_two_relays_share_the_work_and_repeat_nothing(
    db: Database, bus_server: Bus, published: list[Msg], account: UUID
) -> None:
    first, second = await bus_server.connect(), await bus_server.connect()
    for _ in range(4):
        await announce(db, *(revoked(account) for _ in range(500)))
    sent = await asyncio.gather(Relay(db, first).flush(), Relay(db, second).flush())
    assert sum(sent) == 2000
    await eventually(lambda: len(published) == 2000)
    await first.close()
    await second.close()


async def test_what_was_published_but_not_deleted_is_not_stored_twice(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    await announce(db, revoked(account), revoked(account))
    kept = await sql.fetch("SELECT id, subject, payload, traceparent, created FROM outbox ORDER BY number")
    await Relay(db, bus).flush()
    await sql.executemany(
        "INSERT INTO outbox (id, subject, payload, traceparent, created) VALUES ($1, $2, $3, $4, $5)", kept
    )
    assert await Relay(db, bus).flush() == 2
    await eventually(lambda: len(published) == 2)
    assert (await bus.jetstream().stream_info("IDENTITY")).state.messages == 2


async def test_what_no_stream_takes_stays_and_holds_nobody_up(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    await sql.execute(
        "INSERT INTO outbox (id, subject, payload, traceparent, created) VALUES ($1, $2, '', '', now())",
        uuid4(),
        f"crafiq.nowhere.v1.Nothing.{account}",
    )
    await announce(db, revoked(account))
    with pytest.raises(NotAcknowledged):
        await Relay(db, bus).flush()
    await eventually(lambda: published)
    assert await sql.fetchval("SELECT count(*) FROM outbox") == 1
