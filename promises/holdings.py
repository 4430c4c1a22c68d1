"""What is held of one person, counted: rows as the declarations have them, and what is beyond rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, array

from chassis.db import Database, Record, Statement
from promises.erasing import KNOWN, Beyond
from promises.inventory import Declaration, Erase, Keep, Subject, declared
from promises.shares import Share, buckets, by_category, vendor_copies

WHOSE = "ACCOUNT"
"""The category of what says only whose a row is."""
FATES = {
    Erase.DELETE: promises_pb2.ERASED_NOW,
    Erase.ANONYMISE: promises_pb2.ANONYMISED,
    Erase.RETAIN: promises_pb2.RETAINED_UNTIL,
}
UNSENT = ("outbox", "dead_letters")
"""What is on its way to the bus, or lies here undelivered."""


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
    """A table with rows of people; counted are all rows of one person, then those of each part."""

    table: str
    parts: tuple[Part, ...]
    counting: Select[Any]


class Holdings:
    """What the tables of `metadata` and what is `beyond` them have of a person."""

    def __init__(self, db: Database, metadata: MetaData, beyond: Sequence[Beyond]) -> None:
        self._db, self._beyond, self._name = db, beyond, str(metadata.info["service"])
        self._holdings = list(_holdings(metadata))
        unsent = [_unsent(metadata.tables[name]) for name in UNSENT]
        # One statement, and so one moment, whatever is counted.
        counting = [holding.counting for holding in self._holdings]
        stands = [_of(metadata.tables[name]) for name in KNOWN]
        self._counting: Statement[Record] = Statement(union_all(*counting, *unsent, *stands))

    async def plan(self, account: UUID) -> promises_pb2.Plan:
        """What erasing this account now would do; rows are counted as of one moment."""
        now = self._db.clock.now()
        shares, counts = await asyncio.gather(self._shares(account, None), self._count(account))
        for holding in self._holdings:
            pairs = zip(holding.parts, counts[holding.table][1:], strict=True)
            shares += [part.share(count, now) for part, count in pairs]
        return promises_pb2.Plan(holder=self._name, buckets=buckets(shares, now))

    async def findings(self, account: UUID, erasure: UUID | None) -> promises_pb2.Findings:
        """What is found: rows by table, everything by category, what is with vendors, what waits.

        And the erasure's standing as of that moment, unless it is under way: that the eraser knows.
        """
        counts = await self._count(account)  # first: the standing is not to be newer than any look
        beyond = await self._shares(account, erasure)
        found = [(each.table, counts[each.table][0]) for each in self._holdings if counts[each.table][0]]
        left = [(share.category, share.count) for share in beyond if not share.vendor]
        for holding in self._holdings:
            parts = zip(holding.parts, counts[holding.table][1:], strict=True)
            left += [(part.category, count) for part, count in parts]
        return promises_pb2.Findings(
            holder=self._name,
            found=[promises_pb2.TableCount(table=table, count=rows) for table, rows in found],
            left=by_category(left),
            waiting=sum(counts[name][0] for name in UNSENT),
            vendor_copies=vendor_copies(beyond),
            standing=None if counts["erasures"][0] else self._standing(entombed=counts["tombstones"][0] > 0),
        )

    def _standing(self, *, entombed: bool) -> promises_pb2.Standing:
        progress = promises_pb2.FINISHED if entombed else promises_pb2.PROGRESS_UNSPECIFIED
        return promises_pb2.Standing(holder=self._name, progress=progress)

    async def _shares(self, account: UUID, erasure: UUID | None) -> list[Share]:
        found = await asyncio.gather(*(each.found(account, erasure) for each in self._beyond))
        return [share for shares in found for share in shares]

    async def _count(self, account: UUID) -> dict[str, list[int]]:
        """By table: all rows, then those of each part."""
        found = await self._db.all(self._counting, whose=account, about=f"%.{account}")
        return {record["table"]: record["counts"] for record in found}


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


def _counting(table: Table, whose: Column[object], parts: list[list[Column[object]]]) -> Select[Any]:
    """A row holds something of a part if one of its columns is not null."""
    each = [func.count().filter(or_(*(column.is_not(None) for column in columns))) for columns in parts]
    return _counted(table, *each).where(whose == bindparam("whose", type_=Uuid))


def _unsent(table: Table) -> Select[Any]:
    return _counted(table).where(table.c.subject.like(bindparam("about", type_=Text)))


def _of(table: Table) -> Select[Any]:
    return _counted(table).where(table.c.account == bindparam("whose", type_=Uuid))


def _counted(table: Table, *more: Any) -> Select[Any]:
    name: Any = literal_column(f"'{table.name}'", Text)
    counts = cast(array([func.count(), *more]), ARRAY(BigInteger))
    return select(name.label("table"), counts.label("counts")).select_from(table)
