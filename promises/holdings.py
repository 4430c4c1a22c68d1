"""What is held of one person, counted: rows as the declarations have them, and what is beyond rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from sqlalchemy import Column, MetaData, Table, bindparam, func, or_, select, text

from chassis.db import Database, Record, Statement, scalar
from promises.erasing import Beyond
from promises.inventory import Declaration, Erase, Keep, Subject, declared
from promises.shares import Share, buckets, by_category, vendor_copies

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


class Holdings:
    """What the tables of `metadata` and what is `beyond` them have of a person."""

    def __init__(self, db: Database, metadata: MetaData, beyond: Sequence[Beyond]) -> None:
        self._db, self._beyond, self._name = db, beyond, str(metadata.info["service"])
        self._holdings = list(_holdings(metadata))

    async def plan(self, account: UUID) -> promises_pb2.Plan:
        """What erasing this account now would do; rows are counted as of one moment."""
        now = self._db.clock.now()
        shares, counted = await asyncio.gather(self._shares(account, None), self._count(account))
        for holding, record in counted:
            pairs = zip(holding.parts, list(record)[1:], strict=True)
            shares += [part.share(count, now) for part, count in pairs]
        return promises_pb2.Plan(holder=self._name, buckets=buckets(shares, now))

    async def findings(self, account: UUID, erasure: UUID | None) -> promises_pb2.Findings:
        """What is found: rows by table, everything by category, what is with vendors, what waits."""
        beyond, counted = await asyncio.gather(self._shares(account, erasure), self._count(account))
        tables = [(holding.table, record[0]) for holding, record in counted if record[0]]
        left = [(share.category, share.count) for share in beyond if not share.vendor]
        for holding, record in counted:
            parts = zip(holding.parts, list(record)[1:], strict=True)
            left += [(part.category, count) for part, count in parts]
        return promises_pb2.Findings(
            holder=self._name,
            found=[promises_pb2.TableCount(table=table, count=rows) for table, rows in tables],
            left=by_category(left),
            waiting=await self._db.one(WAITING, about=f"%.{account}"),
            vendor_copies=vendor_copies(beyond),
        )

    async def _shares(self, account: UUID, erasure: UUID | None) -> list[Share]:
        found = await asyncio.gather(*(each.found(account, erasure) for each in self._beyond))
        return [share for shares in found for share in shares]

    async def _count(self, account: UUID) -> list[tuple[Holding, Record]]:
        async with self._db.transaction(isolation="repeatable_read") as tx:
            return [(each, await tx.one(each.statement, whose=account)) for each in self._holdings]


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
