"""Every message comes twice, some come to nothing; each has its effect once, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.generation.v1 import events_pb2 as generation_events
from crafiq.identity.v1 import events_pb2
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from sqlalchemy import text

from chassis import events, telemetry
from chassis.consumers import TRIES, Consumers, Subscription
from chassis.db import Database, Statement, Transaction
from chassis.deadletters import dead_letters, replay
from chassis.errors import NotFound, Unavailable
from chassis.pulls import Pull
from chassis.relay import Relay
from tests.integration.chassis_data.conftest import Bus
from tests.integration.chassis_data.test_statements import a_note
from tests.support import eventually

SessionRevoked = events_pb2.SessionRevoked
Handle = Callable[[Transaction, Any], Awaitable[None]]
COUNT = Statement(
    text(
        "INSERT INTO tallies (name, count) VALUES (:which, 1)"
        " ON CONFLICT (name) DO UPDATE SET count = tallies.count + 1"
    )
)


class NoSuchThing(NotFound):
    """A refusal that asking again does not change."""

    sentence = "There is no such thing."


async def counting(tx: Transaction, event: SessionRevoked) -> None:
    await tx.execute(COUNT, which=event.session)


@asynccontextmanager
async def consuming(
    db: Database, bus: Client, handle: Handle, *more: Subscription, durable: str = "library"
) -> AsyncIterator[None]:
    subscriptions = [Subscription("identity", SessionRevoked, handle), *more]
    task = asyncio.create_task(Consumers(durable, db, bus, subscriptions).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def revoked(account: UUID, session: str = "") -> SessionRevoked:
    return SessionRevoked(account=f"accounts/{account}", session=f"sessions/{session or uuid4()}")


async def publish(bus: Client, event: Message, message_id: str = "", **headers: str) -> str:
    message_id = message_id or str(uuid4())
    await bus.jetstream().publish(
        events.subject_of(event), event.SerializeToString(), headers={"Nats-Msg-Id": message_id, **headers}
    )
    return message_id


async def tally(sql: asyncpg.Connection, which: str) -> int:
    return await sql.fetchval("SELECT count FROM tallies WHERE name = $1", which) or 0


async def settled(bus: Client, durable: str = "library", stream: str = "IDENTITY") -> bool:
    try:
        info = await bus.jetstream().consumer_info(stream, durable)
    except NotFoundError:  # not made yet
        return False
    return info.num_pending == 0 and info.num_ack_pending == 0


async def test_an_event_has_its_effect_and_is_acknowledged(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    event = revoked(account)
    async with consuming(db, bus, counting):
        await publish(bus, event)
        await eventually(lambda: tally(sql, event.session))
        await eventually(lambda: settled(bus))


async def test_from_commit_to_effect_in_another_service(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    event = revoked(account)
    relay = asyncio.create_task(Relay(db, bus).run())
    async with consuming(db, bus, counting):
        async with db.transaction() as tx:
            tx.emit(event)
        await eventually(lambda: tally(sql, event.session))
    relay.cancel()


async def test_a_second_delivery_changes_nothing(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    event = revoked(account)
    async with consuming(db, bus, counting):
        message_id = await publish(bus, event)
        await eventually(lambda: tally(sql, event.session))
    # A new consumer gets the whole stream again, as after a lost acknowledgement.
    async with consuming(db, bus, counting, durable="again"):
        await eventually(lambda: settled(bus, "again"))
    assert await tally(sql, event.session) == 1
    assert await sql.fetchval("SELECT count(*) FROM inbox WHERE key = $1", message_id) == 1


async def test_one_message_twice_in_one_batch_has_one_effect(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await bus.jetstream().update_stream(name="IDENTITY", subjects=["crafiq.identity.>"], duplicate_window=0.1)
    event, message_id = revoked(account), str(uuid4())
    for _ in range(3):
        await publish(bus, event, message_id)
        await asyncio.sleep(0.25)  # past the window in which the bus itself notices
    async with consuming(db, bus, counting):
        await eventually(lambda: settled(bus))
    assert (await bus.jetstream().stream_info("IDENTITY")).state.messages == 3
    assert await tally(sql, event.session) == 1


async def test_events_are_handled_in_order_and_all_of_them(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    seen: list[str] = []

    async def note(_tx: Transaction, event: SessionRevoked) -> None:
        seen.append(event.session)

    sent = [revoked(account, str(number)) for number in range(450)]
    for event in sent:
        await publish(bus, event)
    async with consuming(db, bus, note):
        await eventually(lambda: len(seen) == 450)
        await eventually(lambda: settled(bus))
    assert seen == [event.session for event in sent]


async def test_a_poisoned_message_dies_alone(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async def pick(tx: Transaction, event: SessionRevoked) -> None:
        await counting(tx, event)
        if event.session == "sessions/bad":
            raise NoSuchThing

    good = [revoked(account) for _ in range(20)]
    for event in good[:10]:
        await publish(bus, event)
    bad_id = await publish(bus, bad := revoked(account, "bad"))
    for event in good[10:]:
        await publish(bus, event)
    async with consuming(db, bus, pick):
        await eventually(lambda: settled(bus))
    assert [await tally(sql, event.session) for event in good] == [1] * 20
    assert await tally(sql, bad.session) == 0
    [letter] = await dead_letters(db)
    assert (letter.message_id, letter.reason, letter.tries) == (bad_id, "NO_SUCH_THING", 1)
    assert SessionRevoked.FromString(letter.payload) == bad


async def test_what_is_not_a_message_at_all_dies(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await bus.jetstream().publish(events.subject_of(revoked(account)), b"\xff\xff\xff")
    async with consuming(db, bus, counting):
        await eventually(lambda: dead_letters(db))
        await eventually(lambda: settled(bus))
    [letter] = await dead_letters(db)
    assert letter.reason == "DecodeError"


@pytest.mark.parametrize("error", [Unavailable(), OSError("passing")])
async def test_what_fails_for_a_passing_reason_is_tried_again(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID, error: Exception
) -> None:
    attempts = 0

    async def third_time_lucky(tx: Transaction, event: SessionRevoked) -> None:
        nonlocal attempts
        attempts += 1
        await counting(tx, event)
        if attempts < 3:
            raise error

    event = revoked(account)
    await publish(bus, event)
    async with consuming(db, bus, third_time_lucky):
        await eventually(lambda: tally(sql, event.session))
    assert attempts == 3
    assert await tally(sql, event.session) == 1
    assert await dead_letters(db) == []


async def test_what_never_works_is_a_dead_letter_in_the_end(
    db: Database, bus: Client, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.consumers.LONGEST_PAUSE", 0.01)

    async def never(_tx: Transaction, _event: SessionRevoked) -> None:
        raise RuntimeError("a bug")

    await publish(bus, revoked(account))
    async with consuming(db, bus, never):
        await eventually(lambda: dead_letters(db))
        await eventually(lambda: settled(bus))
    [letter] = await dead_letters(db)
    assert (letter.reason, letter.tries) == ("RuntimeError", TRIES)


async def test_a_dead_letter_that_is_replayed_has_its_effect(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.consumers.REPLAY_POLL", 0.05)
    repaired = False

    async def repairable(tx: Transaction, event: SessionRevoked) -> None:
        if not repaired:
            raise NoSuchThing
        await counting(tx, event)

    message_id = await publish(bus, event := revoked(account))
    async with consuming(db, bus, repairable):
        await eventually(lambda: dead_letters(db))
        assert await replay(db, message_id)
        await eventually(lambda: _tries(db, 2))
        repaired = True
        assert await replay(db, message_id)
        await eventually(lambda: tally(sql, event.session))
        assert await dead_letters(db) == []
    assert not await replay(db, message_id)


async def _tries(db: Database, tries: int) -> bool:
    return [letter.tries for letter in await dead_letters(db)] == [tries]


async def test_an_event_for_an_account_not_known_yet_waits_for_it(
    db: Database, bus: Client, sql: asyncpg.Connection
) -> None:
    early = uuid4()

    async def write(tx: Transaction, event: SessionRevoked) -> None:
        await tx.insert(a_note(events.account_of(event)))

    await publish(bus, revoked(early))
    async with consuming(db, bus, write):
        await asyncio.sleep(0.2)
        await sql.execute("INSERT INTO subjects VALUES ($1, now())", early)
        await eventually(lambda: sql.fetchval("SELECT count(*) FROM notes"))


async def test_an_event_for_an_erased_account_ends_quietly(
    db: Database, bus: Client, sql: asyncpg.Connection
) -> None:
    erased = uuid4()
    await sql.execute("INSERT INTO tombstones VALUES ($1, now())", erased)

    async def write(tx: Transaction, event: SessionRevoked) -> None:
        await tx.insert(a_note(events.account_of(event)))

    await publish(bus, revoked(erased))
    async with consuming(db, bus, write):
        await eventually(lambda: settled(bus))
    assert await dead_letters(db) == []


async def test_a_stream_that_is_not_there_yet_is_waited_for(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await bus.jetstream().delete_stream("GENERATION")
    failed = generation_events.GenerationFailed(account=f"accounts/{account}", generation="generations/x")

    async def on_failed(tx: Transaction, event: Any) -> None:
        await tx.execute(COUNT, which=event.generation)

    later = Subscription("generation", generation_events.GenerationFailed, on_failed)
    async with consuming(db, bus, counting, later):
        await publish(bus, event := revoked(account))
        await eventually(lambda: tally(sql, event.session))
        await bus.jetstream().add_stream(name="GENERATION", subjects=["crafiq.generation.>"])
        await publish(bus, failed)
        await eventually(lambda: tally(sql, "generations/x"))
        # And if it is taken away and made anew, consuming goes on.
        await bus.jetstream().delete_stream("GENERATION")
        await bus.jetstream().add_stream(name="GENERATION", subjects=["crafiq.generation.>"])
        await publish(bus, failed)
        await eventually(lambda: _is(tally(sql, "generations/x"), 2), timeout=30)


async def _is(found: Awaitable[int], expected: int) -> bool:
    return await found == expected


async def test_consuming_goes_on_after_the_bus_was_down(
    db: Database, bus: Client, bus_server: Bus, sql: asyncpg.Connection, account: UUID
) -> None:
    async with consuming(db, bus, counting):
        await publish(bus, first := revoked(account))
        await eventually(lambda: tally(sql, first.session))
        await bus_server.kill()
        await asyncio.sleep(0.3)
        await bus_server.start()
        await eventually(lambda: bus.is_connected)
        await publish(bus, second := revoked(account))
        await eventually(lambda: tally(sql, second.session), timeout=30)


async def test_consuming_goes_on_after_the_database_was_down(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with consuming(db, bus, counting):
        for _ in range(5):
            await sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await publish(bus, event := revoked(account))
            await eventually(lambda event=event: tally(sql, event.session))
    assert await dead_letters(db) == []


async def test_two_processes_of_a_service_share_its_events(
    db: Database, bus: Client, bus_server: Bus, sql: asyncpg.Connection, account: UUID
) -> None:
    second = await bus_server.connect()
    sent = [revoked(account) for _ in range(400)]
    async with consuming(db, bus, counting), consuming(db, second, counting):
        for event in sent:
            await publish(bus, event)
        await eventually(lambda: settled(bus))
    assert await sql.fetchval("SELECT count(*) FROM tallies WHERE count = 1") == 400
    await second.close()


async def test_a_batch_in_hand_is_finished_when_consuming_ends(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    begun = asyncio.Event()

    async def slow(tx: Transaction, event: SessionRevoked) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        await counting(tx, event)

    await publish(bus, event := revoked(account))
    async with consuming(db, bus, slow):
        await begun.wait()
    assert await tally(sql, event.session) == 1
    await eventually(lambda: settled(bus))


async def test_the_trace_goes_on_in_the_consumer(db: Database, bus: Client, account: UUID) -> None:
    seen: list[str] = []

    async def look(_tx: Transaction, _event: SessionRevoked) -> None:
        seen.append(telemetry.traceparent())

    trace = f"00-{'ab' * 16}-{'cd' * 8}-00"
    await publish(bus, revoked(account), traceparent=trace)
    async with consuming(db, bus, look):
        await eventually(lambda: seen)
    assert seen == [trace]


def test_an_event_has_one_handler(db: Database, bus: Client) -> None:
    twice = [Subscription("identity", SessionRevoked, counting)] * 2
    with pytest.raises(TypeError, match="one handler"):
        Consumers("library", db, bus, twice)


async def test_a_consumer_ends_whenever_it_is_told_to(db: Database, bus: Client) -> None:
    await bus.jetstream().delete_stream("IDENTITY")  # it asks for it again and again
    for turns in range(60):
        async with Pull(
            bus, db, "identity", "library", {f"{SessionRevoked.DESCRIPTOR.full_name}.*": True}
        ) as pull:
            taking = asyncio.create_task(pull.take(1))
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(max(0, turns - 30) / 5000)
            taking.cancel()
            await asyncio.wait([taking], timeout=20)
            assert taking.cancelled()
