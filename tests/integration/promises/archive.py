"""A made-up service with something of every kind, and people who have some of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import DateTime, Text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.db import Database
from deploy.local.infra import Infra
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
AMOUNT = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.CONTRACT, ACCOUNT, RETAIN, afterwards=LAW)
KEPT = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.LEGAL_OBLIGATION, LAW, RETAIN)


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
    pseudonym: UUID = plain("random")
    cents: int = KEPT.column()
    until: datetime = plain("when it ends", DateTime(timezone=True))


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
    opened = Database.open(archive, clock=FakeClock(), new_id=uuid4, request_key=b"k" * 32, size=(1, 8))
    async with opened as database:
        yield database


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
