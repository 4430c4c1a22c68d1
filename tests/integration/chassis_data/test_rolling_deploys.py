"""Two versions of a service share a durable consumer; none of them loses what the other listens to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.identity.v1 import events_pb2
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from chassis.consumers import CONSUMED, TRIES, Consumers, Subscription
from chassis.db import Database, Transaction
from chassis.deadletters import DeadLetter, bury, dead_letters, replay
from tests.integration.chassis_data.conftest import Bus
from tests.integration.chassis_data.test_consumers import (
    COUNT,
    consuming,
    counting,
    publish,
    revoked,
    settled,
    tally,
)
from tests.support import eventually

AccountVerified, SessionRevoked = events_pb2.AccountVerified, events_pb2.SessionRevoked
REVOKED, VERIFIED = "crafiq.identity.v1.SessionRevoked.*", "crafiq.identity.v1.AccountVerified.*"


async def welcome(tx: Transaction, event: AccountVerified) -> None:
    await tx.execute(COUNT, which=event.account)


NEW = Subscription("identity", AccountVerified, welcome)
RETIRED = Subscription("identity", AccountVerified)


@asynccontextmanager
async def running(
    service: str, db: Database, bus: Client, *subscriptions: Subscription
) -> AsyncIterator[None]:
    """A process of the service that subscribes to these and nothing else."""
    task = asyncio.create_task(Consumers(service, db, bus, subscriptions).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def verified(account: UUID) -> AccountVerified:
    return AccountVerified(account=f"accounts/{account}", policy_version="1", terms_version="1")


async def listens_to(bus: Client, *subjects: str, durable: str = "library") -> bool:
    """Whether these are what the durable has of identity's stream."""
    try:
        info = await bus.jetstream().consumer_info("IDENTITY", durable)
    except NotFoundError:
        return False
    return set(info.config.filter_subjects or ()) == set(subjects)


async def test_what_only_newer_code_handles_waits_for_it_and_holds_nobody_up(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.consumers.LONGEST_AWAY", 0.01)
    given_back = CONSUMED.labels(AccountVerified.DESCRIPTOR.full_name, "unknown")._value
    before = given_back.get()
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
    async with consuming(db, bus, counting):  # an older process is alone for a while
        message_id = await publish(bus, news := verified(account))
        await publish(bus, event := revoked(account))
        await eventually(lambda: tally(sql, event.session))
        await eventually(lambda: given_back.get() > before + TRIES)
        assert not await sql.fetchval("SELECT count(*) FROM inbox WHERE key = $1", message_id)
        assert await listens_to(bus, REVOKED, VERIFIED)
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: tally(sql, news.account))
        await eventually(lambda: settled(bus))
    assert await tally(sql, news.account) == 1
    assert await dead_letters(db) == []


async def test_what_nobody_handles_ends_with_its_age_in_the_stream(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.consumers.LONGEST_AWAY", 0.01)
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
    async with consuming(db, bus, counting):
        await publish(bus, verified(account))
        await eventually(lambda: _in_hand(bus, 1))
        await bus.jetstream().update_stream(name="IDENTITY", subjects=["crafiq.identity.>"], max_age=0.2)
        await eventually(lambda: settled(bus))
    assert await dead_letters(db) == []


async def _in_hand(bus: Client, count: int) -> bool:
    return (await bus.jetstream().consumer_info("IDENTITY", "library")).num_ack_pending == count


async def test_two_versions_side_by_side_lose_nothing(
    db: Database, bus: Client, bus_server: Bus, sql: asyncpg.Connection, account: UUID
) -> None:
    second, people = await bus_server.connect(), [uuid4() for _ in range(60)]
    async with consuming(db, bus, counting), consuming(db, second, counting, NEW):
        await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
        for person in people:
            await publish(bus, verified(person))
            await publish(bus, revoked(person, str(person)))
        await eventually(lambda: settled(bus), timeout=30)
    await second.close()
    for person in people:
        assert await tally(sql, f"accounts/{person}") == 1
        assert await tally(sql, f"sessions/{person}") == 1


async def test_more_than_a_consumer_may_usually_have_in_hand_goes_back_and_the_rest_is_handled(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
    news = verified(account).SerializeToString()
    for _ in range(1200):
        await bus.publish(VERIFIED.replace("*", str(account)), news)
    await bus.flush()
    await publish(bus, event := revoked(account))
    async with consuming(db, bus, counting):
        await eventually(lambda: tally(sql, event.session))


async def test_what_was_announced_before_anybody_listened_is_handled_and_nothing_twice(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with consuming(db, bus, counting):
        await publish(bus, early := verified(account))
        await publish(bus, event := revoked(account))
        await eventually(lambda: tally(sql, event.session))
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: tally(sql, early.account))
        await eventually(lambda: settled(bus))
    assert (await tally(sql, early.account), await tally(sql, event.session)) == (1, 1)


async def test_processes_that_start_at_once_end_up_with_all_their_subjects(
    db: Database, bus: Client, bus_server: Bus
) -> None:
    second = await bus_server.connect()
    for _ in range(8):
        first = Subscription("identity", SessionRevoked, counting)
        async with running("library", db, bus, first), running("library", db, second, NEW):
            await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
        await bus.jetstream().delete_consumer("IDENTITY", "library")
    await second.close()


async def test_what_is_retired_is_not_asked_for_any_more_until_older_code_comes_back(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with consuming(db, bus, counting, NEW):
        await eventually(lambda: listens_to(bus, REVOKED, VERIFIED))
    await publish(bus, first := verified(account))
    async with consuming(db, bus, counting, RETIRED):
        await eventually(lambda: listens_to(bus, REVOKED))
        await publish(bus, second := revoked(account))
        await eventually(lambda: tally(sql, second.session))
        await eventually(lambda: settled(bus))
    assert await tally(sql, first.account) == 0
    async with consuming(db, bus, counting, NEW):  # rolled back
        await eventually(lambda: tally(sql, first.account))
        await eventually(lambda: settled(bus))
    assert (await tally(sql, first.account), await tally(sql, second.session)) == (1, 1)


async def test_a_source_whose_last_event_is_retired_is_left_alone(
    db: Database, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with running("library", db, bus, NEW):
        await eventually(lambda: listens_to(bus, VERIFIED))
    async with running("library", db, bus, RETIRED):
        await eventually(lambda: _gone(bus))
        await publish(bus, event := verified(account))
    async with running("library", db, bus, NEW):
        await eventually(lambda: tally(sql, event.account))


async def _gone(bus: Client) -> bool:
    return not await bus.jetstream().consumers_info("IDENTITY")


@pytest.mark.parametrize("known", [(), (RETIRED,)])
async def test_a_dead_letter_that_this_code_does_not_handle_stays(
    db: Database, bus: Client, account: UUID, monkeypatch: pytest.MonkeyPatch, known: Sequence[Subscription]
) -> None:
    monkeypatch.setattr("chassis.consumers.REPLAY_POLL", 0.05)
    await bury(db, _letter("a", verified(account), db))
    async with consuming(db, bus, counting, *known):
        assert await replay(db, "a")
        await eventually(lambda: _died_of(db, "HandlerMissing"))


def _letter(message_id: str, event: Message, db: Database) -> DeadLetter:
    subject = VERIFIED.replace("*", event.account.removeprefix("accounts/"))  # type: ignore[attr-defined]  # events have it
    return DeadLetter(message_id, subject, event.SerializeToString(), "RuntimeError", 1, db.clock.now())


async def _died_of(db: Database, reason: str) -> bool:
    return [letter.reason for letter in await dead_letters(db)] == [reason]
