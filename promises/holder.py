"""DataHolder: what a service holds about people, answered from its declarations alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Column, MetaData, Table, bindparam, func, or_, select

from chassis.db import Database, Record, Statement
from chassis.rpc import Call
from promises.inventory import Declaration, Erase, Keep, Subject, declared

DATA_HOLDER = promises_pb2.DESCRIPTOR.services_by_name["DataHolder"]
BACKUPS = timedelta(days=30)
"""How long the oldest backup lives: section 9 of the policy."""
BACKUPS_GROUND = "backups are not used for active processing and end after 30 days"
WHOSE = "ACCOUNT"
"""The category of what says only whose a row is."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a table holds of one category that has one fate. `ground` is of what is retained."""

    category: str
    erase: Erase
    ground: Keep | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """A table with rows of people. `statement` counts: all rows of one, then those of each part."""

    table: str
    parts: tuple[Part, ...]
    statement: Statement[Record]


class Holder:
    """`crafiq.promises.v1.DataHolder` for the tables of `metadata`; knows nothing else of the service."""

    def __init__(self, db: Database, metadata: MetaData) -> None:
        self._db, self._name = db, str(metadata.info["service"])
        self._tables = [_described(table) for table in metadata.sorted_tables]
        self._holdings = list(_holdings(metadata))

    async def Describe(self, _request: promises_pb2.DescribeRequest, _call: Call) -> promises_pb2.Description:
        """The inventory."""
        return promises_pb2.Description(holder=self._name, tables=self._tables)

    async def Preview(self, request: promises_pb2.PreviewRequest, _call: Call) -> promises_pb2.Plan:
        """What erasing this account now would do, counted as of one moment."""
        counts: Counter[Part] = Counter()
        for holding, record in await self._count(request.account):
            counts.update(dict(zip(holding.parts, list(record)[1:], strict=True)))
        return promises_pb2.Plan(holder=self._name, buckets=_buckets(counts, self._db.clock.now()))

    async def Verify(self, request: promises_pb2.VerifyRequest, _call: Call) -> promises_pb2.Findings:
        """How many rows of each table are this account's."""
        counted = [(holding.table, record[0]) for holding, record in await self._count(request.account)]
        found = [promises_pb2.TableCount(table=table, count=rows) for table, rows in counted if rows]
        return promises_pb2.Findings(holder=self._name, found=found)

    async def _count(self, account: str) -> list[tuple[Holding, Record]]:
        whose = UUID(account.removeprefix("accounts/"))
        async with self._db.transaction(isolation="repeatable_read") as tx:
            return [(each, await tx.one(each.statement, whose=whose)) for each in self._holdings]


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
                ground = what.keep if what.erase is Erase.RETAIN else None
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


def _buckets(counts: Counter[Part], now: datetime) -> Iterator[promises_pb2.Bucket]:
    """Only those with something in them; what is retained lies in backups no longer than it is retained."""
    erased = {part: count for part, count in counts.items() if part.erase is Erase.DELETE}
    anonymised = {part: count for part, count in counts.items() if part.erase is Erase.ANONYMISE}
    buckets = [_bucket(promises_pb2.ERASED_NOW, erased), _bucket(promises_pb2.ANONYMISED, anonymised)]
    for keep in sorted({part.ground for part in counts if part.ground is not None}, key=str):
        retained = {part: count for part, count in counts.items() if part.ground == keep}
        until = None if keep.at_most is None else now + keep.at_most
        buckets.append(_bucket(promises_pb2.RETAINED_UNTIL, retained, keep.rule, until))
    remains = {**erased, **anonymised}
    buckets.append(_bucket(promises_pb2.IN_BACKUPS_UNTIL, remains, BACKUPS_GROUND, now + BACKUPS))
    return (bucket for bucket in buckets if bucket.counts)


def _bucket(
    fate: promises_pb2.Fate.ValueType,
    counts: dict[Part, int],
    ground: str = "",
    until: datetime | None = None,
) -> promises_pb2.Bucket:
    by_category: Counter[str] = Counter()
    for part, count in counts.items():
        by_category[part.category] += count
    return promises_pb2.Bucket(
        fate=fate,
        ground=ground,
        until=_timestamp(until),
        counts=[
            promises_pb2.CategoryCount(category=category, count=count)
            for category, count in sorted(by_category.items())
            if count
        ],
    )


def _erasure(erase: Erase) -> promises_pb2.Erasure.ValueType:
    return promises_pb2.Erasure.Value(erase)


def _duration(longest: timedelta | None) -> Duration | None:
    if longest is None:
        return None
    duration = Duration()
    duration.FromTimedelta(longest)
    return duration


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
