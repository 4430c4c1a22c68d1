"""Witnesses: some values of who was erased, kept in memory until a scrub has looked for them in raw files.

What is found nowhere any more proves more than a count of rows can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array

from chassis.db import Record, Statement, Transaction
from promises.inventory import Category, Declaration, Erase, Subject, declared

TELLING = {Category.EMAIL, Category.NAME, Category.CONTENT, Category.CREDENTIAL}
ROWS, SHORTEST, MOST = 3, 12, 2_000
"""Rows of a table; bytes that a value has at least, so that it is not found by chance; values kept."""
KEPT = timedelta(hours=48)


class Witnesses:
    """Collects while people are erased; what a scrub did not find, or is two days old, is forgotten."""

    def __init__(self, metadata: MetaData) -> None:
        found = list(_selects(metadata))
        self._statement = Statement(union_all(*found)) if found else None
        self._values: deque[tuple[datetime, bytes]] = deque(maxlen=MOST)

    async def collect(self, tx: Transaction, account: UUID) -> None:
        """Before the rows go: remember some of what is in them, if they do."""
        if self._statement is None:
            return
        records = await tx.all(self._statement, whose=account)
        found = {value for value in _values(records) if len(value) >= SHORTEST}
        clock = tx.clock
        tx.after.append(lambda: self._remember(found, clock.now()))

    def _remember(self, values: Iterable[bytes], now: datetime) -> None:
        self.forget(now - KEPT)
        self._values.extend((now, value) for value in values)

    def taken(self, now: datetime) -> list[bytes]:
        """All there are, each once."""
        self.forget(now - KEPT)
        return list(dict.fromkeys(value for _, value in self._values))

    def forget(self, until: datetime) -> None:
        """Those that came until then."""
        while self._values and self._values[0][0] <= until:
            self._values.popleft()


def _selects(metadata: MetaData) -> Iterator[Select[Any]]:
    """Of each table: the texts of some rows as one JSON array, and the bytes as another array."""
    subjects, _, key = metadata.info["subjects"].partition(".")
    for table in metadata.sorted_tables:
        owner = next((c for c in table.columns if isinstance(declared(c), Subject)), None)
        whose = table.c[key] if table.name == subjects else owner
        columns = list(_telling(table))
        if whose is not None and columns:
            raw = [c for c in columns if isinstance(c.type, LargeBinary)]
            said = func.jsonb_build_array(*(c for c in columns if c not in raw), type_=JSONB)
            some = select(said.label("said"), cast(array(raw), ARRAY(LargeBinary)).label("raw"))
            yield select(some.where(whose == bindparam("whose", type_=Uuid)).limit(ROWS).subquery())


def _telling(table: Table) -> Iterator[Column[Any]]:
    for column in table.columns:
        what, kind = declared(column), column.type
        goes = isinstance(what, Declaration) and what.category in TELLING and what.erase is not Erase.RETAIN
        if goes and isinstance(kind, (Text, LargeBinary, JSONB)):
            yield column


def _values(found: object) -> Iterator[bytes]:
    """Texts and bytes in a record, also those inside of JSON."""
    if isinstance(found, str):
        yield found.encode()
    elif isinstance(found, bytes):
        yield found
    elif isinstance(found, dict):
        yield from (value for each in found.values() for value in _values(each))
    elif isinstance(found, (list, tuple, Record)):
        yield from (value for each in found for value in _values(each))
