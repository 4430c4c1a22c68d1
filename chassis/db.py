"""The database: statements compiled once, run on asyncpg; transactions that commit their events.

JOB = Statement(select(Job).where(col(Job.id) == bindparam("job")), Job)
job = await db.first(JOB, job=id)                       # autocommit, the driver's own speed
async with db.transaction() as tx:                      # rolls back unless the block ends
    job = await tx.one(LOCKED_JOB, job=id)
    await tx.update(job)
    tx.emit(GenerationFailed(account=..., ...))         # written at commit, then relayed
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar
from uuid import UUID

import asyncpg
from google.protobuf.message import Message
from sqlalchemy import text
from sqlmodel import SQLModel

from chassis import outbox
from chassis.clock import Clock
from chassis.connections import Connection, Connections, Lent
from chassis.faults import FAULTS, Contended, DatabaseUnavailable, RequestIdReused, heard, translated
from chassis.statements import Record, Statement, insertion, replacement, scalar

__all__ = [
    "Contended",
    "Database",
    "DatabaseUnavailable",
    "Isolation",
    "Queries",
    "Record",
    "Request",
    "RequestIdReused",
    "Statement",
    "Transaction",
    "scalar",
]

T = TypeVar("T")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]

_ASK = Statement(outbox.ASK)
_ASKED = Statement(
    text("SELECT body, result FROM requests WHERE account = :account AND request_id = :request_id")
)
_CLAIM = Statement(text("INSERT INTO inbox (key, claimed) VALUES (:key, :at) ON CONFLICT DO NOTHING"))
_TOMBSTONE = Statement(text("SELECT EXISTS (SELECT FROM tombstones WHERE account = :account)"), scalar)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is answered once: `message` from `account` leads to the resource named `result`."""

    account: UUID
    request_id: str | UUID
    message: Message
    result: str


class Queries:
    """What a Database (each statement a transaction) and a Transaction have in common.

    All raise SubjectUnknown where a row would belong to an account that is not known here (or no
    more), Contended, DatabaseUnavailable; other errors of Postgres are asyncpg's own
    (`asyncpg.UniqueViolationError` has `constraint_name`) and are the repository's to translate.
    """

    def __init__(self, clock: Clock, new_id: Callable[[], UUID], request_key: bytes) -> None:
        self.clock, self.new_id, self.request_key = clock, new_id, request_key

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        raise NotImplementedError

    async def _run(self, how: str, statement: Statement[Any], values: dict[str, Any]) -> Any:
        arguments = statement.bind(values)
        try:
            async with self._connection() as connection:
                return await getattr(connection, how)(statement.text, *arguments)
        except FAULTS as error:
            if (fault := translated(error)) is None:
                raise
            raise fault from error

    async def all(self, statement: Statement[T], **values: Any) -> list[T]:
        """Every row."""
        records = await self._run("fetch", statement, values)
        return records if statement.into is None else [statement.into(record) for record in records]

    async def first(self, statement: Statement[T], **values: Any) -> T | None:
        """The first row, or None."""
        record = await self._run("fetchrow", statement, values)
        return record if record is None or statement.into is None else statement.into(record)

    async def one(self, statement: Statement[T], **values: Any) -> T:
        """The row that is surely there; raises LookupError if it is not."""
        record = await self._run("fetchrow", statement, values)
        if record is None:
            raise LookupError("a row that should be there is not")
        found: T = record if statement.into is None else statement.into(record)
        return found

    async def execute(self, statement: Statement[Any], **values: Any) -> int:
        """Run it; answers the number of rows it touched."""
        status = await self._run("execute", statement, values)
        return int(count) if (count := status.rpartition(" ")[2]).isdigit() else 0

    async def insert(self, row: SQLModel) -> None:
        """Insert a row; identity and computed columns are left to the database."""
        statement, columns = insertion(type(row))
        await self._run("execute", statement, columns.values(row))

    async def update(self, row: SQLModel) -> None:
        """Write all columns but the primary key; raises Contended if the row is gone."""
        statement, columns = replacement(type(row))
        if await self._run("execute", statement, columns.values(row)) != "UPDATE 1":
            raise Contended

    async def erased(self, account: UUID) -> bool:
        """Whether the account's tombstone stands here."""
        return bool(await self.one(_TOMBSTONE, account=account))

    async def _earlier(self, request: Request) -> str:
        record = await self.first(_ASKED, account=request.account, request_id=_uuid(request.request_id))
        if record is None:
            raise Contended  # it was there a moment ago
        if not hmac.compare_digest(record["body"], self._keyed_hash(request.message)):
            raise RequestIdReused
        result: str = record["result"]
        return result

    def _asked(self, request: Request) -> dict[str, Any]:
        return {
            "asked_account": request.account,
            "asked_id": _uuid(request.request_id),
            "asked_body": self._keyed_hash(request.message),
            "asked_result": request.result,
            "asked_at": self.clock.now(),
        }

    def _keyed_hash(self, message: Message) -> bytes:
        bare = type(message)()
        bare.CopyFrom(message)
        if "request_id" in message.DESCRIPTOR.fields_by_name:
            bare.ClearField("request_id")
        body = message.DESCRIPTOR.full_name.encode() + b"\0" + bare.SerializeToString(deterministic=True)
        return hmac.digest(self.request_key, body, "sha256")


class Transaction(Queries):
    """A transaction under way; made by `Database.transaction`."""

    def __init__(self, db: Database, connection: Connection) -> None:
        super().__init__(db.clock, db.new_id, db.request_key)
        self._lent = nullcontext(connection)
        self.events: list[Message] = []
        self.after: list[Callable[[], None]] = []
        """Called if and when this has committed."""

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        return self._lent

    def emit(self, event: Message) -> None:
        """Announce `event` if and when this commits. Its `account` field decides the subject."""
        self.events.append(event)

    async def claim(self, key: str) -> bool:
        """Take `key` for good: True once, False if somebody took it before (waits for one who is at it)."""
        return await self.execute(_CLAIM, key=key, at=self.clock.now()) == 1

    async def replay(
        self, account: UUID, request_id: str | UUID, request: Message, *, result: str
    ) -> str | None:
        """Note that `request` leads to `result`: None the first time, the earlier result when asked again.

        Two at once: the second waits for the first. Raises RequestIdReused if the body differs
        (a keyed hash of the message without its `request_id` is compared), SubjectUnknown.
        """
        asked = Request(account, request_id, request, result)
        first_time = await self.first(_ASK, **self._asked(asked)) is not None
        return None if first_time else await self._earlier(asked)


class Database(Queries):
    """A service's database. A query on it is a transaction of one statement."""

    def __init__(
        self, connections: Connections, clock: Clock, new_id: Callable[[], UUID], request_key: bytes
    ) -> None:
        super().__init__(clock, new_id, request_key)
        self._connections = connections
        self._committed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        clock: Clock,
        new_id: Callable[[], UUID],
        request_key: bytes,
        size: tuple[int, int] = (4, 16),
    ) -> AsyncIterator[Self]:
        """Connect a pool of `size` (least, most) connections; closed when the block ends."""
        least, most = size
        pool = asyncpg.create_pool(
            url,
            min_size=least,
            max_size=most,
            init=_prepare,
            # No statement here sets anything that outlives its transaction, so there is nothing to undo;
            # an open transaction asyncpg itself rolls back.
            reset=_keep,
            timeout=5,  # to connect
            command_timeout=10,
            server_settings={
                "lock_timeout": "4s",
                "statement_timeout": "8s",
                "idle_in_transaction_session_timeout": "30s",
            },
        )
        async with Connections(pool, least) as connections:
            yield cls(connections, clock, new_id, request_key)

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        return Lent(self._connections)

    @asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[Transaction]:
        """All or nothing: commits when the block ends, rolls back when it raises."""
        connection, well = await heard(self._connections.take), False
        try:
            begun = connection.transaction(isolation=isolation)
            await heard(begun.start)
            tx = Transaction(self, connection)
            try:
                yield tx
                if tx.events:
                    await tx.execute(
                        outbox.WRITE, **outbox.arguments(tx.events, self.new_id, self.clock.now())
                    )
            except BaseException:
                with suppress(*FAULTS):  # the connection may be gone; what stopped us is the news
                    await begun.rollback()
                raise
            await heard(begun.commit)
            well = True
        finally:
            with suppress(*FAULTS):
                await self._connections.give(connection, well=well)
        if tx.events:
            self._committed.set()
        for call in tx.after:
            call()

    async def create(self, row: SQLModel, *events: Message, request: Request | None = None) -> str | None:
        """One statement, one round trip: the row, its events, and the request that asked for it.

        Answers None if the row was written; the earlier result if the request had been answered before
        (then nothing is written). Raises as `Transaction.insert` and `Transaction.replay` do.
        """
        statement, columns = outbox.creation(type(row), asked=request is not None)
        values = columns.values(row) | outbox.arguments(events, self.new_id, self.clock.now())
        if request is not None:
            values |= self._asked(request)
        if not await self.one(statement, **values) and request is not None:
            return await self._earlier(request)
        if events:
            self._committed.set()
        return None

    async def wait_committed(self, timeout: float) -> None:
        """Return when events were committed since the last call, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._committed.wait()
        self._committed.clear()


def _uuid(value: str | UUID) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


async def _keep(_connection: Connection) -> None:
    pass


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
