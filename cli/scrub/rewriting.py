"""PostgreSQL: every file of a database that may hold what was erased is written anew."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from cli.scrub.tables import Nobodys, Sql, Table, families, tables, to_rewrite

PATIENCE, LOOKS_ROUND = "250ms", "100ms"
"""How long a table's lock is waited for: whoever comes behind in its queue waits as long, and no longer.

Before that the server looks who is in the way, and ends a sweep of its own (autovacuum) if that is it."""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, *[1.5] * 20)  # seconds between tries: half a minute in all
# Statistics have values of columns in them; the other two are empty here, and as cheap as that.
CATALOGUES = ("pg_statistic", "pg_statistic_ext_data", "pg_largeobject")
_DEAD = re.compile(r"^(\d+) dead row versions cannot be removed yet")
BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)

Signatures = dict[str, list[int]]


@dataclass
class Rewritten:
    """What was done to a database. `unfinished`: tables that somebody held too long, and why."""

    looked_at: int = 0
    tables: int = 0
    size: int = 0
    restamped: int = 0
    signatures: Signatures = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


async def rewrite(sql: Sql, before: Signatures, progress: Callable[[str], None]) -> Rewritten:
    """Rewrite what changed since `before`; `progress` is told each table's name."""
    await sql.execute(
        f"SET lock_timeout = '{PATIENCE}'; SET deadlock_timeout = '{LOOKS_ROUND}'; SET lc_messages = 'C'"
    )
    found, kin = await tables(sql), await families(sql)
    nobodys = {each.table: each for family in kin for each in family}
    wanted = to_rewrite(found, kin, before)
    done = Rewritten(looked_at=len(found), signatures={each.name: each.signature for each in found})
    for table in found:
        if table.name in wanted:
            progress(table.name)
            await _anew(sql, table, nobodys.get(table.name), done)
    for name in CATALOGUES:
        if await _patiently(sql, f"VACUUM (FULL, FREEZE, VERBOSE) pg_catalog.{name}") is None:
            done.unfinished.append(name)
    return done


async def _anew(sql: Sql, table: Table, nobodys: Nobodys | None, done: Rewritten) -> None:
    """Vacuumed, and frozen: a shared xmin links the rows of one transaction, that is of one person.

    Freezing alone leaves the number in the row, so rows of nobody's get one stamp before, in one
    transaction, and the table the order of its key, which is random.
    """
    if nobodys is None:
        statements = [f'VACUUM (FULL, FREEZE, VERBOSE) "{table.name}"']
    else:
        statements = [nobodys.restamp, f'CLUSTER (VERBOSE) "{table.name}" USING "{table.key}"']
    for statement in (*statements, f'ANALYZE "{table.name}"'):
        status = await _patiently(sql, statement)
        if status is None:
            done.unfinished.append(table.name)
            done.signatures.pop(table.name, None)
            return
        if status.startswith("UPDATE"):
            done.restamped += int(status.removeprefix("UPDATE "))
    done.tables += 1
    done.size += table.size


async def _patiently(sql: Sql, statement: str) -> str | None:
    """Run it until nobody is in the way; None if somebody always was."""
    for pause in PAUSES:
        async with _told(sql) as told:
            try:
                status: str = await sql.execute(statement)
            except BUSY:
                told.append("busy")
        if not told:
            return status
        await asyncio.sleep(pause)
    return None


@asynccontextmanager
async def _told(sql: Sql) -> AsyncIterator[list[str]]:
    """What the server says of erased rows that are still there, because somebody may still see them."""
    told: list[str] = []

    def listen(_sql: object, message: asyncpg.PostgresLogMessage) -> None:
        found = _DEAD.match(message.detail or "")
        if found and int(found[1]):
            told.append(found[0])

    sql.add_log_listener(listen)
    try:
        yield told
    finally:
        sql.remove_log_listener(listen)


async def forget_wal(sql: Sql) -> None:
    """What was written ahead is cut off: a new segment begins, and those before it go with a checkpoint.

    A checkpoint also removes the files of tables before they were rewritten.
    """
    await sql.execute("SELECT pg_switch_wal()")
    await sql.execute("CHECKPOINT")
