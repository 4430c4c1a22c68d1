"""Every column of every row of every table of a database, as its administrator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg

from cli.search.needles import Hit, Needles

TABLES = """
    SELECT format('%I.%I', nspname, relname) AS name, relname FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY 1
"""


@dataclass
class Read:
    """How many rows were looked through, and what was found."""

    rows: int = 0
    hits: list[Hit] = field(default_factory=list)


async def look_at_rows(sql: asyncpg.Connection[asyncpg.Record], service: str, needles: Needles) -> Read:
    """Search a service's database; a hit's place is `service.table.column`, its `at` the row."""
    read = Read()
    async with sql.transaction(readonly=True):
        for table in await sql.fetch(TABLES):
            query = f"SELECT to_jsonb(t)::text FROM {table['name']} AS t"  # noqa: S608  # quoted by the server
            number = 0
            async for record in sql.cursor(query, prefetch=500):
                read.hits += _found(record[0], f"{service}.{table['relname']}", number, needles)
                number += 1
            read.rows += number
    return read


def _found(row: str, table: str, number: int, needles: Needles) -> Iterator[Hit]:
    if any(needles.within(row.encode(), "")):
        for column, value in json.loads(row).items():
            text = json.dumps(value, ensure_ascii=False).encode()
            yield from (Hit(hit.sought, f"{table}.{column}", number) for hit in needles.within(text, ""))
