"""DataHolder: what a service holds about people, answered from its declarations alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import Column, MetaData, Table, bindparam, func, or_, select, text

from chassis.db import Database, Record, Statement, scalar
from chassis.rpc import Call
from promises.eraser import Eraser
from promises.erasing import Wanted
from promises.inventory import Declaration, Erase, Keep, Subject, declared
from promises.shares import Share, buckets, by_category, vendor_copies

DATA_HOLDER = promises_pb2.DESCRIPTOR.services_by_name["DataHolder"]
WHOSE = "ACCOUNT"
"""The category of what says only whose a row is."""
FATES = {
    Erase.DELETE: promises_pb2.ERASED_NOW,
    Erase.ANONYMISE: promises_pb2.ANONYMISED,
    Erase.RETAIN: promises_pb2.RETAINED_UNTIL,
}
# What is on its way to the bus, or lies here undelivered.
WAITING = Statement(
    text(
        "SELECT (SELECT count(*) FROM outbox WHERE subject LIKE :about)"
        " + (SELECT count(*) FROM dead_letters WHERE subject LIKE :about)"
    ),
    scalar,
)


@dataclass(frozen=True, slots=True)
class Part:
    """What a table holds of one category that has one fate. `ground` is of what is retained."""

    category: str
    erase: Erase
    ground: Keep | None = None

    def share(self, count: int, now: datetime) -> Share:
        """So much of it."""
        if self.ground is None:
            return Share(self.category, FATES[self.erase], count)
        until = self.ground.ends(now)
        return Share(self.category, FATES[self.erase], count, self.ground.rule, until)


@dataclass(frozen=True, slots=True)
class Holding:
    """A table with rows of people. `statement` counts: all rows of one, then those of each part."""

    table: str
    parts: tuple[Part, ...]
    statement: Statement[Record]


class Holder:
    """`crafiq.promises.v1.DataHolder` for the tables of `metadata` and what is beyond them."""

    def __init__(self, db: Database, metadata: MetaData, eraser: Eraser) -> None:
        self._db, self._name, self._eraser = db, str(metadata.info["service"]), eraser
        self._tables = [_described(table) for table in metadata.sorted_tables]
        self._holdings = list(_holdings(metadata))

    async def Describe(self, _request: promises_pb2.DescribeRequest, _call: Call) -> promises_pb2.Description:
        """The inventory."""
        return promises_pb2.Description(holder=self._name, tables=self._tables)

    async def Preview(self, request: promises_pb2.PreviewRequest, _call: Call) -> promises_pb2.Plan:
        """What erasing this account now would do."""
        return await self.plan(_id(request.account))

    async def plan(self, account: UUID) -> promises_pb2.Plan:
        """The same; rows are counted as of one moment."""
        now = self._db.clock.now()
        shares, counted = await asyncio.gather(self._beyond(account, None), self._count(account))
        for holding, record in counted:
            pairs = zip(holding.parts, list(record)[1:], strict=True)
            shares += [part.share(count, now) for part, count in pairs]
        return promises_pb2.Plan(holder=self._name, buckets=buckets(shares, now))

    async def Erase(self, request: promises_pb2.EraseRequest, _call: Call) -> promises_pb2.Standing:
        """Begin, or begin again."""
        deleted_at = request.delete_time.ToDatetime(tzinfo=UTC)
        wanted = Wanted(_id(request.account), _id(request.erasure), deleted_at)
        async with self._db.transaction() as tx:
            await self._eraser.ask(tx, wanted, again=True)
        return await self._standing(wanted.account)

    async def Verify(self, request: promises_pb2.VerifyRequest, _call: Call) -> promises_pb2.Findings:
        """What is found: rows by table, everything by category, what is with vendors, what waits."""
        account, erasure = _id(request.account), _id(request.erasure) if request.erasure else None
        beyond, counted = await asyncio.gather(self._beyond(account, erasure), self._count(account))
        tables = [(holding.table, record[0]) for holding, record in counted if record[0]]
        left = [
            (p.category, n) for h, record in counted for p, n in zip(h.parts, list(record)[1:], strict=True)
        ]
        left += [(share.category, share.count) for share in beyond if not share.vendor]
        return promises_pb2.Findings(
            holder=self._name,
            found=[promises_pb2.TableCount(table=table, count=rows) for table, rows in tables],
            left=by_category(left),
            waiting=await self._db.one(WAITING, about=f"%.{account}"),
            vendor_copies=vendor_copies(beyond),
            standing=await self._standing(account),
        )

    async def _standing(self, account: UUID) -> promises_pb2.Standing:
        standing = await self._eraser.standing(account)
        standing.holder = self._name
        return standing

    async def _beyond(self, account: UUID, erasure: UUID | None) -> list[Share]:
        found = await asyncio.gather(*(each.found(account, erasure) for each in self._eraser.beyond))
        return [share for shares in found for share in shares]

    async def _count(self, account: UUID) -> list[tuple[Holding, Record]]:
        async with self._db.transaction(isolation="repeatable_read") as tx:
            return [(each, await tx.one(each.statement, whose=account)) for each in self._holdings]


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])


def _described(table: Table) -> promises_pb2.Table:
    columns = [_column(column) for column in table.columns]
    whose = next((d for c in table.columns if isinstance(d := declared(c), Subject)), None)
    described = promises_pb2.Table(table=table.name, columns=columns)
    if whose is not None:
        described.erasure = _erasure(whose.erase)
    return described


def _column(column: Column[object]) -> promises_pb2.Column:
    what = declared(column)
    if isinstance(what, Declaration):
        return promises_pb2.Column(
            column=column.name,
            personal=True,
            category=what.category,
            purpose=what.purpose,
            basis=what.basis,
            retention=what.keep.rule,
            retention_limit=_duration(what.keep.at_most),
            erasure=_erasure(what.erase),
        )
    if isinstance(what, Subject):
        return promises_pb2.Column(
            column=column.name, personal=True, category=WHOSE, erasure=_erasure(what.erase)
        )
    return promises_pb2.Column(column=column.name, why=what.why if what is not None else "")


def _holdings(metadata: MetaData) -> Iterator[Holding]:
    subjects, _, key = metadata.info["subjects"].partition(".")
    for table in metadata.sorted_tables:
        whose = next((c for c in table.columns if isinstance(declared(c), Subject)), None)
        if table.name == subjects:
            whose = table.c[key]
        if whose is None:
            continue
        parts: dict[Part, list[Column[object]]] = {}
        for column in table.columns:
            if isinstance(what := declared(column), Declaration):
                ground = what.afterwards if what.erase is Erase.RETAIN else None
                parts.setdefault(Part(what.category, what.erase, ground), []).append(column)
        if not parts:
            what = declared(whose)
            parts[Part(WHOSE, what.erase if isinstance(what, Subject) else Erase.DELETE)] = [whose]
        yield Holding(table.name, tuple(parts), _counting(table, whose, list(parts.values())))


def _counting(table: Table, whose: Column[object], parts: list[list[Column[object]]]) -> Statement[Record]:
    """A row holds something of a part if one of its columns is not null."""
    each = [
        func.count().filter(or_(*(column.is_not(None) for column in columns))).label(f"part_{number}")
        for number, columns in enumerate(parts)
    ]
    counted = select(func.count().label("all_rows"), *each).select_from(table)
    return Statement(counted.where(whose == bindparam("whose", type_=whose.type)))


def _erasure(erase: Erase) -> promises_pb2.Erasure.ValueType:
    return promises_pb2.Erasure.Value(erase)


def _duration(longest: timedelta | None) -> Duration | None:
    if longest is None:
        return None
    duration = Duration()
    duration.FromTimedelta(longest)
    return duration
