"""How long rows stay, and how they end: a bounded number a statement, until none is left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import MetaData, text

from chassis.db import Database, Queries, Record, Statement
from chassis.jobs import Job
from promises.inventory import RETAINED, UNTIL

MESSAGES_LIVE = timedelta(days=7)
"""The age that every stream ends messages at."""
INBOX = 2 * MESSAGES_LIVE
REQUESTS = timedelta(days=7)
DEAD_LETTERS = timedelta(days=30)
TOMBSTONES = timedelta(days=35)
"""As long as the oldest backup lives, and a margin: who comes back from it has to be known."""
HOURLY = timedelta(hours=1)
BATCH = 500
"""Rows that one statement ends at most: it holds its locks for moments, however much there is to do."""


def ending(table: str, condition: str) -> Statement[Record]:
    """DELETE of up to BATCH rows of `table` that meet `condition`, for `in_batches`.

    Rows that somebody else holds are left for the next time.
    """
    batch = f"SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH} FOR UPDATE SKIP LOCKED"  # noqa: S608  # our own words
    return Statement(text(f"DELETE FROM {table} WHERE ctid = ANY (ARRAY({batch}))"))  # noqa: S608  # our own words


async def in_batches(queries: Queries, statement: Statement[Any], **values: Any) -> int:
    """Run a statement that touches a bounded number of rows until it finds none; answers how many it did."""
    rows = 0
    while done := await queries.execute(statement, **values):
        rows += done
    return rows


# What fences off an erased account (promises.subjects) stays as long as its tombstone.
_FENCE = "EXISTS (SELECT FROM tombstones WHERE inbox.key = 'verified:' || tombstones.account)"
_UNDER_WAY = "EXISTS (SELECT FROM erasures WHERE erasures.account = tombstones.account)"
_ENDS = {
    "inbox": (ending("inbox", f"claimed < :before AND NOT {_FENCE}"), INBOX),
    "requests": (ending("requests", "created < :before"), REQUESTS),
    "dead_letters": (ending("dead_letters", "died < :before"), DEAD_LETTERS),
    "tombstones": (ending("tombstones", f"erased_at < :before AND NOT {_UNDER_WAY}"), TOMBSTONES),
}


def standard_jobs(db: Database, metadata: MetaData) -> list[Job]:
    """Ends inbox rows after 14 days, requests after 7, dead letters after 30, tombstones after 35; what is
    retained of erased people on its day. `service.every(job)` each."""

    def sweeping(table: str, statement: Statement[Record], age: timedelta) -> Job:
        async def run() -> int:
            return await in_batches(db, statement, before=db.clock.now() - age)

        return Job(f"sweep {table}", HOURLY, run)

    kept = [name for name in metadata.tables if name.startswith(RETAINED)]
    ends = {**_ENDS, **{name: (ending(name, f"{UNTIL} < :before"), timedelta(0)) for name in kept}}
    return [sweeping(name, *how) for name, how in ends.items()]
