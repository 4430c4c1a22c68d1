"""What a service holds about people follows from its declarations: told, previewed, found."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.promises.v1 import promises_pb2
from sqlalchemy import Text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.db import Database
from chassis.rpc import Call
from deploy.local.infra import Infra
from promises.holder import BACKUPS, Holder
from promises.inventory import (
    ACCOUNT,
    ANONYMISE,
    DELETE,
    RETAIN,
    Base,
    Basis,
    Category,
    Declaration,
    Keep,
    Purpose,
    check,
    inventory,
    plain,
    subject,
)
from promises.tables import standard
from tests.support import FakeClock

LAW = Keep.law("HGB § 257", timedelta(days=3653))
WORDS = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, DELETE)
TITLE = Declaration(Category.CONTENT, Purpose.PUBLICATION, Basis.CONTRACT, ACCOUNT, ANONYMISE)
PLACE = Declaration(Category.DEVICE, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, Keep.days(30), DELETE)
AMOUNT = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.LEGAL_OBLIGATION, LAW, RETAIN)
NOBODY = cast(Call, None)  # who calls is settled before


class Row(Base, registry=inventory("archive")):
    """A made-up service with something of every kind."""


standard(Row.metadata)


class Note(Row, table=True):
    """Goes with its person."""

    __tablename__ = "notes"
    id: UUID = plain("random", primary_key=True)
    account: UUID = subject(DELETE)
    words: str = WORDS.column()
    place: str | None = PLACE.column(Text, default=None)


class Work(Row, table=True):
    """Stays as nobody's."""

    __tablename__ = "works"
    id: UUID = plain("random", primary_key=True)
    account: UUID | None = subject(ANONYMISE)
    title: str | None = TITLE.column()


class Payment(Row, table=True):
    """Part of it is kept because a law demands it."""

    __tablename__ = "payments"
    id: UUID = plain("random", primary_key=True)
    account: UUID = subject(DELETE)
    cents: int = AMOUNT.column()


class RetainedPayment(Row, table=True):
    """That part."""

    __tablename__ = "retained_payments"
    id: UUID = plain("random", primary_key=True)
    cents: int = AMOUNT.column()


@pytest.fixture(scope="module")
async def archive(infra: Infra) -> AsyncIterator[str]:
    """A database with these tables."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)

    async def connect() -> Any:
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Row.metadata.create_all)
    yield url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def db(archive: str) -> AsyncIterator[Database]:
    opened = Database.open(archive, clock=FakeClock(), new_id=uuid4, request_key=b"k" * 32, size=(1, 2))
    async with opened as database:
        yield database


@pytest.fixture
def holder(db: Database) -> Holder:
    return Holder(db, Row.metadata)


@pytest.fixture
def person(archive: str, db: Database) -> Callable[[], Awaitable[UUID]]:
    """Makes people who have two notes (one with a place), a work and a payment."""

    async def make() -> UUID:
        account = uuid4()
        sql = await asyncpg.connect(archive)
        await sql.execute("INSERT INTO subjects (account, since) VALUES ($1, now())", account)
        await sql.close()
        async with db.transaction() as tx:
            await tx.insert(Note(id=uuid4(), account=account, words="one", place="here"))
            await tx.insert(Note(id=uuid4(), account=account, words="two"))
            await tx.insert(Work(id=uuid4(), account=account, title="mine"))
            await tx.insert(Payment(id=uuid4(), account=account, cents=900))
        return account

    return make


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
