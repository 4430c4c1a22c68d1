"""Processes are killed (-9) where it hurts, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from nats.aio.client import Client

from chassis.db import Database
from chassis.relay import Relay
from tests.integration.chassis_data.conftest import Bus
from tests.integration.chassis_data.test_consumers import consuming, counting, settled, tally
from tests.integration.chassis_data.test_relay import announce, emptied, revoked
from tests.support import eventually


@asynccontextmanager
async def killed_after(said: str, what: str, database: str, bus: Bus, account: UUID) -> AsyncIterator[None]:
    """Start a victim, wait until it says `said`, kill it."""
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.chassis_data.victim",
        what, database, bus.url, str(account),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        assert victim.stdout is not None
        async with asyncio.timeout(30):
            assert (await victim.stdout.readline()).decode().strip() == said
        yield
    finally:
        if victim.returncode is None:
            victim.kill()
        await victim.wait()


async def test_a_crash_between_commit_and_publish_loses_nothing(
    database_url: str, db: Database, bus_server: Bus, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    async with killed_after("committed", "commit", database_url, bus_server, account):
        assert await sql.fetchval("SELECT count(*) FROM outbox") == 1
    assert await sql.fetchval("SELECT count(*) FROM notes") == 1
    async with consuming(db, bus, counting):
        assert await Relay(db, bus).flush() == 1
        await eventually(lambda: tally(sql, "sessions/of a victim"))
    assert await emptied(sql)


async def test_a_relay_killed_between_publish_and_delete_repeats_nothing(
    database_url: str, db: Database, bus_server: Bus, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await announce(db, event := revoked(account))
    async with killed_after("published", "publish", database_url, bus_server, account):
        assert await Relay(db, bus).flush() == 0  # the row is in the victim's hands
    await eventually(lambda: _one(Relay(db, bus)))
    async with consuming(db, bus, counting):
        await eventually(lambda: settled(bus))
    assert await tally(sql, event.session) == 1
    assert await emptied(sql)


async def test_it_is_handled_once_even_if_the_bus_has_forgotten_that_it_came_before(
    database_url: str, db: Database, bus_server: Bus, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await bus.jetstream().update_stream(name="IDENTITY", subjects=["crafiq.identity.>"], duplicate_window=0.1)
    await announce(db, event := revoked(account))
    async with killed_after("published", "publish", database_url, bus_server, account):
        await asyncio.sleep(0.3)
    await eventually(lambda: _one(Relay(db, bus)))
    assert (await bus.jetstream().stream_info("IDENTITY")).state.messages == 2
    async with consuming(db, bus, counting):
        await eventually(lambda: settled(bus))
    assert await tally(sql, event.session) == 1


async def test_what_a_killed_process_had_in_hand_comes_to_another_within_seconds(
    database_url: str, db: Database, bus_server: Bus, bus: Client, sql: asyncpg.Connection, account: UUID
) -> None:
    await announce(db, event := revoked(account))
    assert await Relay(db, bus).flush() == 1
    async with killed_after("taken", "handle", database_url, bus_server, account):
        assert await tally(sql, event.session) == 0
    async with consuming(db, bus, counting):
        await eventually(lambda: tally(sql, event.session))
        await eventually(lambda: settled(bus))
    assert await tally(sql, event.session) == 1


async def _one(relay: Relay) -> bool:
    return await relay.flush() == 1
