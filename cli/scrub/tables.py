"""Which tables a database has, what changed in them, and which of them hang on what was anonymised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SMALL = 8 * 1024 * 1024
"""Bytes up to which a table is rewritten whether or not it is known to have changed: that takes milliseconds,
and what the server knows of changes may be ten seconds old."""
TABLES = """
    SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size,
      COALESCE(s.n_tup_ins, 0) AS inserted, COALESCE(s.n_tup_upd + s.n_tup_del, 0) AS changed,
      COALESCE(s.n_dead_tup, 0) AS dead, COALESCE(s.autovacuum_count, 0) AS vacuumed,
      (SELECT relname FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
       WHERE i.indrelid = c.oid AND i.indisprimary) AS key
    FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""
# A column that refers to a subject and is set null with it is what the inventory declares ANONYMISE: the
# constraint is generated from the declaration (promises/inventory).
REFERENCES = """
    SELECT f.conrelid::regclass::text AS name, f.confrelid::regclass::text AS target,
      f.confdeltype = 'n' AS set_null,
      f.conname = 'fk_' || f.conrelid::regclass::text || '_subject' AS of_subject,
      a.attname AS column, t.attname AS target_column
    FROM pg_constraint f
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
    JOIN pg_attribute t ON t.attrelid = f.confrelid AND t.attnum = f.confkey[1]
    WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace AND cardinality(f.conkey) = 1
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table and what the server counted in it; `key` is its primary key's index."""

    name: str
    size: int
    inserted: int
    changed: int
    dead: int
    vacuumed: int
    key: str | None

    @property
    def signature(self) -> list[int]:
        """What differs once a row came, was removed or replaced, or a sweep of the server's own came by."""
        return [self.changed, self.vacuumed, self.inserted]

    def touched(self, before: list[int]) -> bool:
        """Whether something may have been left behind since a scrub that remembered `before`.

        Counters that went back, as after a crash, differ too. Rows that only came leave nothing.
        """
        return self.size <= SMALL or self.dead > 0 or self.signature[:2] != before[:2]


@dataclass(frozen=True, slots=True)
class Nobodys:
    """A table's rows without owner: with `column` set to itself where `condition`, they have one stamp."""

    table: str
    column: str
    condition: str

    @property
    def restamp(self) -> str:
        """The statement; it changes nothing that can be read of a column."""
        return f'UPDATE "{self.table}" SET "{self.column}" = "{self.column}" WHERE {self.condition}'  # noqa: S608  # names from the catalogue


Family = list[Nobodys]
"""A table that keeps rows of nobody's, and those without a subject that hang on it."""


async def tables(sql: Sql) -> list[Table]:
    """Every table of a service's database."""
    return [Table(**dict(record)) for record in await sql.fetch(TABLES)]


def to_rewrite(found: Iterable[Table], kin: Iterable[Family], before: Mapping[str, list[int]]) -> set[str]:
    """The tables that may have something left in them; of a family all, if anything happened in it at all."""
    known = {table.name: table for table in found}
    wanted = {name for name, table in known.items() if table.touched(before.get(name, []))}
    for family in kin:
        names = {each.table for each in family}
        if names & wanted or any(known[name].signature != before.get(name) for name in names):
            wanted |= names
    return wanted


async def families(sql: Sql) -> list[Family]:
    """Every family of a database, its parent first."""
    return list(_families([dict(record) for record in await sql.fetch(REFERENCES)]))


def _families(references: list[Mapping[str, str]]) -> Iterator[Family]:
    owned = {each["name"] for each in references if each["of_subject"]}
    for each in references:
        if each["of_subject"] and each["set_null"]:
            parent = Nobodys(each["name"], each["column"], f'"{each["column"]}" IS NULL')
            yield [parent, *_hanging(parent, references, owned)]


def _hanging(parent: Nobodys, references: Iterable[Mapping[str, str]], owned: set[str]) -> Iterator[Nobodys]:
    for each in references:
        if each["target"] == parent.table and each["name"] not in owned:
            of_nobody = f'SELECT "{each["target_column"]}" FROM "{parent.table}" WHERE {parent.condition}'  # noqa: S608  # names from the catalogue
            child = Nobodys(each["name"], each["column"], f'"{each["column"]}" IN ({of_nobody})')
            yield child
            yield from _hanging(child, references, owned)
