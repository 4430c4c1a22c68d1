"""Every process hears at once of sessions and accounts that ended, whatever became of the bus meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.identity.v1.events_pb2 import AccountDeleted, SessionRevoked
from nats.aio.client import Client

from chassis import events
from chassis.db import Database, DatabaseUnavailable
from chassis.events import connect
from chassis.revoked import BACK, RevokedSessions
from chassis.rpc.tokens import Revocations
from deploy.local.infra import Infra
from tests.integration.chassis_data.conftest import Bus
from tests.support import eventually

AT_ONCE = 1.0  # seconds


@asynccontextmanager
async def listening(bus: Client, db: Database) -> AsyncIterator[Revocations]:
    """A process that hears of revocations."""
    revocations = Revocations(db.clock)
    task = asyncio.create_task(RevokedSessions(bus, db, revocations).run())
    try:
        yield revocations
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def announce(bus: Client, event: AccountDeleted | SessionRevoked) -> None:
    await bus.jetstream().publish(events.subject_of(event), event.SerializeToString())


def deleted(account: UUID) -> AccountDeleted:
    return AccountDeleted(account=f"accounts/{account}", erasure=f"erasures/{uuid4()}")


async def has_begun(bus: Client, revocations: Revocations) -> None:
    """Whoever is announced from now on is heard of at once."""
    account = uuid4()
    await announce(bus, deleted(account))
    await eventually(lambda: account in revocations)


@pytest.mark.promise("9-delete-now")
async def test_a_deleted_account_is_known_to_every_process_within_a_second(
    infra: Infra, db: Database
) -> None:
    nats = infra.nats

    async def user(name: str) -> Client:
        return await connect(nats.url, name, nats.password(name), infra.tls_dir(name))

    identity, billing, assets = await user("identity"), await user("billing"), await user("assets")
    async with listening(billing, db) as first, listening(assets, db) as second:
        for revocations in (first, second):
            await has_begun(identity, revocations)

        async def known_at_once() -> bool:
            account, session = uuid4(), uuid4()
            await announce(identity, deleted(account))
            await eventually(lambda: account in first and account in second, timeout=AT_ONCE)
            over = SessionRevoked(account=f"accounts/{uuid4()}", session=f"sessions/{session}")
            await announce(identity, over)
            await eventually(lambda: session in first and session in second, timeout=AT_ONCE)
            return True

        await eventually(known_at_once)  # of others, if the machine stood still for that second
    for bus in (identity, billing, assets):
        await bus.close()


@pytest.mark.promise("9-delete-now")
async def test_what_the_bus_has_forgotten_of_the_erased_is_read_from_their_tombstones(
    bus: Client, bus_server: Bus, db: Database, sql: asyncpg.Connection
) -> None:
    fresh, old = uuid4(), uuid4()
    await _erase(sql, fresh, datetime.now(UTC) - BACK + timedelta(seconds=30))
    await _erase(sql, old, datetime.now(UTC) - BACK - timedelta(seconds=30))
    async with listening(bus, db) as revocations:
        await eventually(lambda: fresh in revocations)
        assert old not in revocations, "its tokens have ended by age"
        later = uuid4()
        await bus_server.kill()
        await _erase(sql, later, datetime.now(UTC))
        await bus_server.start()
        await eventually(lambda: later in revocations, timeout=30)


async def _erase(sql: asyncpg.Connection, account: UUID, at: datetime) -> None:
    await sql.execute("INSERT INTO tombstones VALUES ($1, $2)", account, at)


async def test_what_can_not_be_read_is_passed_over(bus: Client, db: Database) -> None:
    async with listening(bus, db) as revocations:
        await has_begun(bus, revocations)
        for event in (AccountDeleted, SessionRevoked):
            for junk in (b"\xff", b""):
                await bus.jetstream().publish(f"{event.DESCRIPTOR.full_name}.{uuid4()}", junk)
        await has_begun(bus, revocations)


async def test_revocations_are_heard_again_after_the_database_was_away(
    bus: Client, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, asked = db.all, 0

    async def away_at_first(*args: Any, **values: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise DatabaseUnavailable
        return await there(*args, **values)

    monkeypatch.setattr(db, "all", away_at_first)
    async with listening(bus, db) as revocations:
        await has_begun(bus, revocations)
    assert asked >= 3  # more, if the machine stood still and the bus seemed silent


async def test_a_listener_that_is_cancelled_while_its_connection_closes_ends(
    infra: Infra, db: Database
) -> None:
    bus = await connect(infra.nats.url, "billing", infra.nats.password("billing"), infra.tls_dir("billing"))
    task = asyncio.create_task(RevokedSessions(bus, db, Revocations(db.clock)).run())
    await asyncio.sleep(0.3)
    closing = asyncio.create_task(bus.close())
    while not bus.is_closed:
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    await closing
    assert done == {task}
    assert task.cancelled()
