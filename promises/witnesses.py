"""Witnesses: some values of who was erased, kept in memory until a scrub has looked for them in raw files.

What is found nowhere any more proves more than a count of rows can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import JSONB

from chassis.db import Record, Statement, Transaction
from promises.inventory import Category, Declaration, Erase, Subject, declared

TELLING = {Category.EMAIL, Category.NAME, Category.CONTENT, Category.CREDENTIAL}
ROWS, SHORTEST, MOST = 3, 12, 2_000
"""Rows of a table; bytes that a value has at least, so that it is not found by chance; values kept."""
KEPT = timedelta(hours=24)


class Witnesses:
    """Collects while people are erased; what is taken, or a day old, is forgotten."""

    def __init__(self, metadata: MetaData) -> None:
        self._statements = list(_statements(metadata))
        self._values: deque[tuple[datetime, bytes]] = deque(maxlen=MOST)

    async def collect(self, tx: Transaction, account: UUID) -> None:
        """Before the rows go: remember some of what is in them, if they do."""
        found: set[bytes] = set()
        for statement in self._statements:
            for record in await tx.all(statement, whose=account):
                found.update(value for value in _values(record) if len(value) >= SHORTEST)
        now = tx.clock.now()
        tx.after.append(lambda: self._values.extend((now, value) for value in found))

    def take(self, now: datetime) -> list[bytes]:
        """All there are, for the last time."""
        values = [value for since, value in self._values if since > now - KEPT]
        self._values.clear()
        return values


def _statements(metadata: MetaData) -> Iterator[Statement[Record]]:
    subjects, _, key = metadata.info["subjects"].partition(".")
    for table in metadata.sorted_tables:
        owner = next((c for c in table.columns if isinstance(declared(c), Subject)), None)
        whose = table.c[key] if table.name == subjects else owner
        columns = list(_telling(table))
        if whose is not None and columns:
            of_person: Column[Any] = whose
            query = select(*columns).where(of_person == bindparam("whose", type_=Uuid)).limit(ROWS)
            yield Statement(query)


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
