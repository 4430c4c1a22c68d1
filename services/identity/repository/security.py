"""The security log and the limits on guessing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, text
from sqlmodel import col

from chassis.db import Database, Queries, Record, Statement, scalar
from promises.retention import ending, in_batches
from services.identity.domain.rows import ADDRESS_COARSE_AFTER, LOGGED_FOR
from services.identity.domain.security import Limit, SecurityEntry, Throttle

# One statement counts the attempt and says whether it is allowed, so that attempts made side by
# side are counted one after the other. No row back: it has to wait.
ATTEMPT = Statement(
    text(
        """
        INSERT INTO throttles AS t (key, attempts, since, until)
        VALUES (:key, 1, :now, CASE WHEN :free <= 1 THEN CAST(:now AS timestamptz) + :pause ELSE :now END)
        ON CONFLICT (key) DO UPDATE SET
          attempts = CASE WHEN t.since <= :reset THEN 1 ELSE t.attempts + 1 END,
          since = CASE WHEN t.since <= :reset THEN :now ELSE t.since END,
          until = CASE
            WHEN t.since <= :reset AND :free > 1 THEN :now
            WHEN t.since <= :reset THEN CAST(:now AS timestamptz) + :pause
            WHEN t.attempts + 1 < :free THEN :now
            ELSE CAST(:now AS timestamptz)
              + LEAST(CAST(:pause AS interval) * power(2, LEAST(t.attempts + 1 - :free, 20)), :longest)
          END
        WHERE t.until <= :now
        RETURNING attempts
        """
    ),
    scalar,
)
UNTIL = Statement(select(col(Throttle.until)).where(col(Throttle.key) == bindparam("key_")), scalar)
FORGET = Statement(delete(Throttle).where(col(Throttle.key) == bindparam("key_")))


async def attempt(queries: Queries, limit: Limit, key: bytes, now: datetime) -> timedelta | None:
    """Count an attempt: None if it may go on, else how long it has to wait (then it is not counted)."""
    counted = await queries.first(
        ATTEMPT, key=key, now=now, reset=now - limit.window,
        free=limit.free, pause=limit.pause, longest=limit.longest,
    )  # fmt: skip
    if counted is not None:
        return None
    until: datetime | None = await queries.first(UNTIL, key_=key)
    return max((until or now) - now, timedelta(seconds=1))


async def forget_attempts(queries: Queries, key: bytes) -> None:
    """It was the right one: begin to count anew."""
    await queries.execute(FORGET, key_=key)


async def log(queries: Queries, entry: SecurityEntry) -> None:
    """Write one line of an account's security log."""
    await queries.insert(entry)


def _coarsen(table: str) -> Statement[Record]:
    return Statement(
        text(
            f"""
            UPDATE {table} SET address = text(network(set_masklen(
              CAST(address AS inet), CASE family(CAST(address AS inet)) WHEN 4 THEN 24 ELSE 48 END)))
            WHERE id IN (SELECT id FROM {table}
              WHERE at <= :before AND address <> '' AND position('/' in address) = 0
              ORDER BY at LIMIT 500 FOR UPDATE SKIP LOCKED)
            """  # noqa: S608  # our own tables
        )
    )


# Of those who are gone as of those who are here.
COARSEN = [_coarsen(table) for table in ("security_log", "retained_security_log")]
OLD_ENTRIES = ending("security_log", "at <= :before")
IDLE_THROTTLES = ending("throttles", "until <= :now AND since <= :before")


async def sweep(db: Database, now: datetime) -> None:
    """Make old addresses coarse, end what is past its time."""
    for coarsen in COARSEN:
        await in_batches(db, coarsen, before=now - ADDRESS_COARSE_AFTER)
    await in_batches(db, OLD_ENTRIES, before=now - LOGGED_FOR)
    await in_batches(db, IDLE_THROTTLES, now=now, before=now - timedelta(hours=1))
