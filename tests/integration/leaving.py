"""Somebody's account is deleted while others are at work for them: what the tests of holders share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from crafiq.identity.v1.events_pb2 import AccountDeleted
from crafiq.promises.v1 import promises_pb2
from crafiq.promises.v1.promises_pb2_grpc import DataHolderStub

from chassis.db import Database, Isolation
from tests.support import FakeClock, eventually


@pytest.fixture(params=["read_committed", "repeatable_read"])
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Isolation:
    """At which every transaction of a service runs that does not say otherwise."""
    level: Isolation = request.param
    # What `asynccontextmanager` wraps: its callers leave the level out.
    monkeypatch.setattr(Database.transaction.__wrapped__, "__defaults__", (level,))  # type: ignore[attr-defined]  # functools' own
    return level


def deleted(account: UUID, erasure: UUID) -> AccountDeleted:
    """What identity announces."""
    event = AccountDeleted(account=f"accounts/{account}", erasure=f"erasures/{erasure}")
    event.delete_time.GetCurrentTime()
    return event


async def erased(
    channel: Any, account: UUID, erasure: UUID, clock: FakeClock | None = None
) -> promises_pb2.Findings:
    """What a service finds once it is done and has said so; `channel` is privacy's.

    `clock`: the service's, if it stands still; time passes on it when something stood in the way.
    """
    stub: Any = DataHolderStub(channel)
    request = promises_pb2.VerifyRequest(account=f"accounts/{account}", erasure=f"erasures/{erasure}")

    async def done() -> promises_pb2.Findings:
        found: promises_pb2.Findings = await stub.Verify(request, timeout=10)
        if clock is not None and found.standing.tries:
            clock.forward(timedelta(seconds=1))  # it is tried again a moment later
        assert (found.standing.progress, found.waiting) == (promises_pb2.FINISHED, 0), found
        return found

    return await eventually(done, timeout=30)


async def naming(sql: Callable[..., Awaitable[Sequence[Any]]], account: UUID) -> Counter[str]:
    """How many rows of each table have somebody's number in any of their columns; `sql` asks the database."""
    tables = await sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
        # The tombstone, and the key that keeps AccountVerified from coming late: 35 days, as the plan says.
        "AND table_name NOT IN ('tombstones', 'inbox')"
    )
    found = Counter[str]()
    for (name,) in tables:
        rows = f"SELECT count(*) FROM {name} AS each WHERE each::text ~ $1"  # noqa: S608  # from the catalogue
        [(found[name],)] = await sql(rows, f"{account}|{account.hex}")
    return +found


async def later(seconds: float, action: Awaitable[Any]) -> Any:
    """Do it then."""
    await asyncio.sleep(seconds)
    return await action
