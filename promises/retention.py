"""How long the rows of the standard tables stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import DateTime, MetaData, bindparam, text

from chassis.db import Database, Record, Statement
from chassis.jobs import Job
from promises.inventory import RETAINED, UNTIL

MESSAGES_LIVE = timedelta(days=7)
"""The age that every stream ends messages at."""
INBOX = 2 * MESSAGES_LIVE
REQUESTS = timedelta(days=7)
DEAD_LETTERS = timedelta(days=30)
HOURLY = timedelta(hours=1)


TOMBSTONES = timedelta(days=35)
"""As long as the oldest backup lives, and a margin: who comes back from it has to be known."""


def _sweep(sql: str) -> Statement[Record]:
    return Statement(text(sql).bindparams(bindparam("before", type_=DateTime(timezone=True))))


# What fences off an erased account (promises.subjects) stays as long as its tombstone.
_INBOX = _sweep(
    "DELETE FROM inbox WHERE claimed < :before"
    " AND NOT EXISTS (SELECT FROM tombstones WHERE inbox.key = 'verified:' || tombstones.account)"
)
_REQUESTS = _sweep("DELETE FROM requests WHERE created < :before")
_DEAD_LETTERS = _sweep("DELETE FROM dead_letters WHERE died < :before")
_TOMBSTONES = _sweep(
    "DELETE FROM tombstones WHERE erased_at < :before"
    " AND NOT EXISTS (SELECT FROM erasures WHERE erasures.account = tombstones.account)"
)


def standard_jobs(db: Database, metadata: MetaData) -> list[Job]:
    """Ends inbox rows after 14 days, requests after 7, dead letters after 30, tombstones after 35; what is
    retained of erased people on its day. `service.every(job)` each."""

    def sweeping(statement: Statement[Record], age: timedelta) -> Job:
        async def run() -> int:
            before: datetime = db.clock.now() - age
            return await db.execute(statement, before=before)

        return Job(f"sweep {statement.text.split()[2]}", HOURLY, run)

    retained = [
        _sweep(f"DELETE FROM {name} WHERE {UNTIL} < :before")  # noqa: S608  # our own tables
        for name in metadata.tables
        if name.startswith(RETAINED)
    ]
    ages = {_INBOX: INBOX, _REQUESTS: REQUESTS, _DEAD_LETTERS: DEAD_LETTERS, _TOMBSTONES: TOMBSTONES}
    return [
        *(sweeping(statement, age) for statement, age in ages.items()),
        *(sweeping(statement, timedelta(0)) for statement in retained),
    ]
