"""The database: statements compiled once, run on asyncpg; transactions that commit their events.

    JOB = Statement(select(Job).where(Job.id == bindparam("job")), Job)
    job = await db.first(JOB, job=id)                       # autocommit, the driver's own speed
    async with db.transaction() as tx:                      # rolls back unless the block ends
        job = await tx.one(LOCKED_JOB, job=id)
        await tx.update(job)
        tx.emit(GenerationFailed(account=..., ...))         # written at commit, then relayed
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, Literal, Self, TypeVar
from uuid import UUID

import asyncpg
from google.protobuf.message import Message
from sqlalchemy import Executable
from sqlmodel import SQLModel

from chassis.clock import Clock
from chassis.errors import Aborted, AlreadyExists, Unavailable

T = TypeVar("T")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]
Record = asyncpg.Record


class Contended(Aborted):
    """A serialization failure, deadlock or lock timeout: nothing was written; run it again."""

    sentence = "Somebody else is changing the same thing; ask again."


class DatabaseUnavailable(Unavailable):
    """The database can't be reached, is shutting down, or took too long."""

    sentence = "This can't be read or stored right now; ask again in a moment."


class RequestIdReused(AlreadyExists):
    """A `request_id` came again with another body (AIP-155)."""

    sentence = "This requestId was used for a different request; choose a new one."


class Statement(Generic[T]):
    """A statement compiled once, at import.

    `clause` is any SQLAlchemy Core executable (`select(Row)`, `insert`, `text("... :name")`) whose
    `bindparam`s are the keyword arguments of a query; literals keep their value. Give binds other
    names than the columns of an INSERT or UPDATE. `into` makes a result of a record: a row class, any
    function, or nothing for the bare asyncpg record. Enum columns come back as their StrEnum when
    `into` is a row class; jsonb is lists and dicts both ways.
    """

    def __init__(self, clause: Executable, into: Callable[[Record], T] | type[T] | None = None) -> None:
        self.text: str = ""
        self.names: tuple[str, ...] = ()


def scalar(record: Record) -> Any:
    """The first column: `Statement(select(func.count()).select_from(T), scalar)`."""
    return record[0]


class Queries:
    """What a Database (each statement for itself) and a Transaction have in common.

    All raise SubjectUnknown where a row would belong to an account that is not known here (or no
    more), Contended, DatabaseUnavailable; other errors of Postgres are asyncpg's own
    (`asyncpg.UniqueViolationError` has `constraint_name`) and are the repository's to translate.
    """

    async def all(self, statement: Statement[T], **values: Any) -> list[T]:
        """Every row."""
        raise NotImplementedError

    async def first(self, statement: Statement[T], **values: Any) -> T | None:
        """The first row, or None."""
        raise NotImplementedError

    async def one(self, statement: Statement[T], **values: Any) -> T:
        """The row that is surely there; raises LookupError if it is not."""
        raise NotImplementedError

    async def execute(self, statement: Statement[Any], **values: Any) -> int:
        """Run it; answers the number of rows it touched."""
        raise NotImplementedError

    async def insert(self, row: SQLModel) -> None:
        """Insert a row; columns that the database fills (identity, server default) are left to it if None."""
        raise NotImplementedError

    async def update(self, row: SQLModel) -> None:
        """Write all columns but the primary key; raises Contended if the row is gone."""
        raise NotImplementedError


class Transaction(Queries):
    """A transaction under way. Made by `Database.transaction`."""

    def emit(self, event: Message) -> None:
        """Announce `event` if and when this commits. Its `account` field decides the subject."""
        raise NotImplementedError

    async def claim(self, key: str) -> bool:
        """Take `key` for good: True once ever, False if somebody took it before (waits for one who is at it)."""
        raise NotImplementedError

    async def replay(self, account: UUID, request_id: str | UUID, request: Message, *, result: str) -> str | None:
        """Note that `request` leads to `result`; None the first time, the earlier result when asked again.

        Two at once: the second waits for the first. Raises RequestIdReused if the body differs
        (a keyed hash of the message without its `request_id` is compared), SubjectUnknown.
        """
        raise NotImplementedError


class Request:
    """A request that is answered once: for `Database.create(..., request=...)`. See `Transaction.replay`."""

    def __init__(self, account: UUID, request_id: str | UUID, message: Message, result: str) -> None:
        self.account, self.request_id, self.message, self.result = account, request_id, message, result


class Database(Queries):
    """A service's database. Queries on it are transactions of one statement."""

    clock: Clock
    new_id: Callable[[], UUID]

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, clock: Clock, new_id: Callable[[], UUID], request_key: bytes, size: tuple[int, int] = (4, 16)
    ) -> AsyncIterator[Self]:
        """Connect a pool of `size` (least, most) connections; closed when the block ends."""
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[Transaction]:
        """All or nothing: commits when the block ends, rolls back when it raises."""
        raise NotImplementedError
        yield

    async def create(
        self, row: SQLModel, *events: Message, request: Request | None = None
    ) -> str | None:
        """One statement, one round trip: the row, its events, and the request that asked for it.

        Answers None if the row was written; the earlier result if the request had been answered before
        (then nothing is written). Raises as `Transaction.insert` and `Transaction.replay`.
        """
        raise NotImplementedError

    async def announce(self, statement: Statement[T], event: Message, **values: Any) -> T | None:
        """Run a statement made by `outbox.with_event`: its row and the event, or neither."""
        raise NotImplementedError

    async def erased(self, account: UUID) -> bool:
        """Whether the account's tombstone stands here."""
        raise NotImplementedError

    async def wait_committed(self, timeout: float) -> None:
        """Return when events were committed since the last call, or after `timeout` seconds."""
        raise NotImplementedError
