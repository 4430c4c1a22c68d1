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
from nats.js.errors import NotFoundError

from chassis import telemetry
from chassis.consumers import Consumers
from chassis.db import Database
from chassis.deadletters import dead_letters, replay
from chassis.relay import TRIES, NotAcknowledged, Relay
from tests.integration.chassis_data.conftest import Bus
from tests.support import eventually

SessionRevoked = events_pb2.SessionRevoked


def revoked(account: UUID, session: str = "") -> SessionRevoked:
    return SessionRevoked(account=f"accounts/{account}", session=f"sessions/{session or uuid4()}")


@asynccontextmanager
async def running(worker: Relay | Consumers) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
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
        await eventually(lambda: published)


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
        await eventually(lambda: emptied(sql), timeout=30)
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


async def write(sql: asyncpg.Connection, subject: str, payload: bytes = b"") -> UUID:
    """A row of the outbox that no service of ours would write."""
    message_id = uuid4()
    await sql.execute(
        "INSERT INTO outbox (id, subject, payload, traceparent, created) VALUES ($1, $2, $3, '', now())",
        message_id,
        subject,
        payload,
    )
    return message_id


async def kept(sql: asyncpg.Connection) -> int:
    return int(await sql.fetchval("SELECT count(*) FROM outbox"))


async def test_what_no_stream_takes_is_set_aside_and_holds_nobody_up(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    relay = Relay(db, bus)
    expected = [f"sessions/{n}" for n in range(20)]
    for number in range(20):
        await write(sql, f"crafiq.nowhere.v1.Nothing.{account}")
        await announce(db, revoked(account, str(number)))
    assert await relay.flush() == 20
    await eventually(lambda: len(published) == 20)
    assert [SessionRevoked.FromString(m.data).session for m in published] == expected
    assert await kept(sql) == 20
    assert await relay.flush() == 0  # they are not tried again at once


async def test_more_than_a_batch_of_what_no_stream_takes_holds_nobody_up(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID
) -> None:
    await sql.execute(
        "INSERT INTO outbox (id, subject, payload, traceparent, created)"
        " SELECT gen_random_uuid(), $1, '', '', now() FROM generate_series(1, 1200)",
        f"crafiq.nowhere.v1.Nothing.{account}",
    )
    await announce(db, revoked(account))
    assert await Relay(db, bus).flush() == 1
    await eventually(lambda: published)
    assert await kept(sql) == 1200


async def test_more_than_is_looked_at_in_one_attempt_stops_nobody(
    db: Database,
    bus: Client,
    sql: asyncpg.Connection,
    published: list[Msg],
    account: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.relay.LOOKED_AT", 500)
    await sql.execute(
        "INSERT INTO outbox (id, subject, payload, traceparent, created)"
        " SELECT gen_random_uuid(), $1, '', '', now() FROM generate_series(1, 1600)",
        f"crafiq.nowhere.v1.Nothing.{account}",
    )
    await announce(db, revoked(account))
    async with running(Relay(db, bus)):
        await eventually(lambda: published)


async def test_what_the_bus_does_not_answer_is_a_dead_letter_in_the_end(
    db: Database,
    bus: Client,
    sql: asyncpg.Connection,
    published: list[Msg],
    account: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.relay.ANSWER", 0.2)
    monkeypatch.setattr("chassis.relay.LONGEST_ASIDE", 0.0)

    async def silent(_message: Msg) -> None:
        pass

    await bus.subscribe("not.ours.>", cb=silent)  # as a subject that our user may not publish on
    refused = await write(sql, f"not.ours.at.all.{account}")
    relay = Relay(db, bus)
    for _ in range(TRIES):
        await announce(db, revoked(account))
        assert await eventually(lambda: flushed(relay)) == 1
    [letter] = await dead_letters(db)
    assert (letter.message_id, letter.reason) == (f"unsent:{refused}", "no answer")


async def flushed(relay: Relay) -> int:
    """How many were published; 0 if the bus was so slow that no try counts."""
    try:
        return await relay.flush()
    except NotAcknowledged:
        return 0


async def test_what_is_refused_while_nothing_else_happens_slows_nobody_who_comes_later(  # noqa: PLR0917
    db: Database,
    bus: Client,
    sql: asyncpg.Connection,
    published: list[Msg],
    account: UUID,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = db.wait_committed

    async def for_long(seconds: float) -> None:
        await waits(60 if seconds > 1 else seconds)

    monkeypatch.setattr(db, "wait_committed", for_long)
    await write(sql, f"crafiq.nowhere.v1.Nothing.{account}")
    async with running(Relay(db, bus)):
        await eventually(lambda: "next attempt in 1.6 s" in caplog.text)
        await announce(db, revoked(account))
        await eventually(lambda: published)


@pytest.mark.parametrize("size", [400, 2_000_000])  # the stream's limit, and the server's
async def test_what_is_too_large_is_set_aside(
    db: Database, bus: Client, sql: asyncpg.Connection, published: list[Msg], account: UUID, size: int
) -> None:
    await bus.jetstream().update_stream(name="IDENTITY", subjects=["crafiq.identity.>"], max_msg_size=300)
    await write(sql, f"crafiq.identity.v1.SessionRevoked.{account}", b"x" * size)
    await announce(db, revoked(account))
    assert await Relay(db, bus).flush() == 1
    await eventually(lambda: published)
    assert await kept(sql) == 1


async def test_what_is_refused_again_and_again_is_a_dead_letter_that_can_be_sent_once_it_is_mended(
    db: Database,
    bus: Client,
    sql: asyncpg.Connection,
    published: list[Msg],
    account: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.relay.LONGEST_ASIDE", 0.0)
    monkeypatch.setattr("chassis.consumers.REPLAY_POLL", 0.05)
    relay, payload = Relay(db, bus), revoked(account).SerializeToString()
    refused = await write(sql, f"crafiq.nowhere.v1.SessionRevoked.{account}", payload)
    for _ in range(TRIES):
        assert not await dead_letters(db)
        await announce(db, revoked(account))
        assert await relay.flush() == 1
    [letter] = await dead_letters(db)
    assert (letter.message_id, letter.reason, letter.tries) == (
        f"unsent:{refused}", "no stream takes it", TRIES,
    )  # fmt: skip
    assert await emptied(sql)
    await bus.jetstream().update_stream(name="IDENTITY", subjects=["crafiq.identity.>", "crafiq.nowhere.>"])
    async with running(relay), running(Consumers("library", db, bus, [])):
        assert await replay(db, letter.message_id)
        await eventually(lambda: sent(bus, f"crafiq.nowhere.v1.SessionRevoked.{account}", refused))
        await eventually(lambda: emptied(sql))
    assert not await dead_letters(db)


async def sent(bus: Client, subject: str, message_id: UUID) -> bool:
    with suppress(NotFoundError):
        message = await bus.jetstream().get_last_msg("IDENTITY", subject)
        return (message.headers or {}).get("Nats-Msg-Id") == str(message_id)
    return False


async def test_while_the_bus_takes_nothing_nothing_is_given_up_and_the_order_stays(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.relay.LONGEST_PAUSE", 0.01)
    await bus.jetstream().delete_stream("IDENTITY")
    sent = [revoked(account, str(number)) for number in range(700)]
    await announce(db, *sent)
    relay = Relay(db, bus)
    for _ in range(2 * TRIES):
        with pytest.raises(NotAcknowledged):
            await relay.flush()
    assert await dead_letters(db) == []
    await bus.jetstream().add_stream(name="IDENTITY", subjects=["crafiq.identity.>"])
    assert await relay.flush() == 700
    stored = [await bus.jetstream().get_msg("IDENTITY", number) for number in (1, 2, 350, 699, 700)]
    assert [SessionRevoked.FromString(m.data or b"") for m in stored] == [
        sent[n - 1] for n in (1, 2, 350, 699, 700)
    ]
