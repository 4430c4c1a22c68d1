"""What a service holds about people follows from its declarations: told, previewed, found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg
import pytest
from crafiq.identity.v1.events_pb2 import AccountErased
from crafiq.promises.v1 import promises_pb2

from chassis.db import Database
from chassis.rpc import Call
from promises.eraser import Eraser
from promises.erasing import Erasing
from promises.holder import Holder
from promises.holdings import Holdings
from promises.inventory import check
from promises.shares import BACKUPS
from tests.integration.promises.archive import Row, archive, db, person

__all__ = ["archive", "db", "person"]
NOBODY = cast(Call, None)  # who calls is settled before


@pytest.fixture
def holder(db: Database) -> Holder:
    eraser = Eraser(db, Erasing(Row.metadata), AccountErased)
    return Holder(db, Row.metadata, Holdings(db, Row.metadata, ()), eraser, nothing)


async def nothing() -> int:
    return 0


async def plan(holder: Holder, account: UUID) -> dict[int, promises_pb2.Bucket]:
    answer = await holder.Preview(promises_pb2.PreviewRequest(account=f"accounts/{account}"), NOBODY)
    assert answer.holder == "archive"
    return {bucket.fate: bucket for bucket in answer.buckets}


async def found(holder: Holder, account: UUID) -> dict[str, int]:
    answer = await holder.Verify(promises_pb2.VerifyRequest(account=f"accounts/{account}"), NOBODY)
    return {each.table: each.count for each in answer.found}


def counts(bucket: promises_pb2.Bucket) -> dict[str, int]:
    return {each.category: each.count for each in bucket.counts}


def test_the_made_up_service_is_declared_without_fault() -> None:
    assert check(Row.metadata) == []


@pytest.mark.promise("2-inventory", "9-asneeded")
async def test_every_column_is_described_with_ground_and_time(holder: Holder) -> None:
    told = await holder.Describe(promises_pb2.DescribeRequest(), NOBODY)
    assert told.holder == "archive"
    assert {table.table for table in told.tables} == set(Row.metadata.tables)
    columns = {(t.table, c.column): c for t in told.tables for c in t.columns}
    place = columns["notes", "place"]
    assert (place.category, place.purpose, place.basis) == ("DEVICE", "SECURITY", "6(1)(f)")
    assert (place.retention, place.retention_limit.ToTimedelta()) == ("30 days", timedelta(days=30))
    assert columns["payments", "cents"].erasure == promises_pb2.RETAIN
    assert columns["works", "account"].category == "ACCOUNT"
    assert not columns["notes", "id"].personal
    assert all(c.retention and c.basis for c in columns.values() if c.personal and c.category != "ACCOUNT")
    assert all(c.why for c in columns.values() if not c.personal)


@pytest.mark.promise("9-delete-preview")
async def test_a_preview_counts_what_becomes_of_each_category(
    holder: Holder, person: Callable[[], Awaitable[UUID]], db: Database
) -> None:
    account = await person()
    await person()
    buckets = await plan(holder, account)
    assert counts(buckets[promises_pb2.ERASED_NOW]) == {"ACCOUNT": 1, "CONTENT": 2, "DEVICE": 1}
    assert counts(buckets[promises_pb2.ANONYMISED]) == {"CONTENT": 1}
    retained = buckets[promises_pb2.RETAINED_UNTIL]
    assert counts(retained) == {"PAYMENT": 1}
    assert retained.ground == "as HGB § 257 demands"
    now = db.clock.now()
    assert _utc(retained.until.ToDatetime()) == now + timedelta(days=3653)
    backups = buckets[promises_pb2.IN_BACKUPS_UNTIL]
    assert counts(backups) == {"ACCOUNT": 1, "CONTENT": 3, "DEVICE": 1}
    assert _utc(backups.until.ToDatetime()) == now + BACKUPS


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


@pytest.mark.promise("9-delete-preview", "9-delete-now")
async def test_after_an_erasure_nothing_is_found(
    holder: Holder, person: Callable[[], Awaitable[UUID]], archive: str
) -> None:
    account, other = await person(), await person()
    everything = {"subjects": 1, "notes": 2, "works": 1, "payments": 1}
    assert await found(holder, account) == everything
    sql = await asyncpg.connect(archive)
    await sql.execute("UPDATE works SET title = NULL WHERE account = $1", account)
    await sql.execute("DELETE FROM subjects WHERE account = $1", account)
    await sql.close()
    assert await found(holder, account) == {}
    assert await plan(holder, account) == {}
    assert await found(holder, other) == everything
