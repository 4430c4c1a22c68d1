"""What a service does when time passes: one process at a time, whoever holds the lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database, Statement

LOG = logging.getLogger("crafiq.jobs")
LEASE = timedelta(seconds=30)
POLL = timedelta(seconds=5)

_TAKE = Statement(
    text(
        "INSERT INTO leases (name, holder, until, due) VALUES (:name, :holder, :until, :now)"
        " ON CONFLICT (name) DO UPDATE SET holder = :holder, until = :until"
        " WHERE leases.due <= :now AND leases.until <= :now"
    )
)
_RENEW = Statement(text("UPDATE leases SET until = :until WHERE name = :name AND holder = :holder"))
_RETURN = Statement(
    text("UPDATE leases SET due = :due, until = :now, holder = NULL WHERE name = :name AND holder = :holder")
)


@dataclass(frozen=True)
class Job:
    """`run` is called about every `every` (at once, when first known) by one process of the service.

    A failure is logged and tried next time. Should a process be cut off longer than its lease, two may
    run it at once: it must be safe to.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[Any]]


async def keep_running(job: Job, db: Database) -> None:
    """Run the job when it is due, until cancelled."""
    while True:
        try:
            await run_if_due(job, db)
        except Exception as error:
            LOG.warning("job %s failed", job.name, exc_info=error)
        await asyncio.sleep(min(job.every, POLL).total_seconds())


async def run_if_due(job: Job, db: Database) -> bool:
    """Run the job if it is due and nobody else is at it; answers whether it ran, raises what it raises."""
    holder, now = db.new_id(), db.clock.now()
    if not await db.execute(_TAKE, name=job.name, holder=holder, until=now + LEASE, now=now):
        return False
    renewing = asyncio.create_task(_renew(job, db, holder))
    try:
        await job.run()
    finally:
        renewing.cancel()
        now = db.clock.now()
        try:
            await db.execute(_RETURN, name=job.name, holder=holder, due=now + job.every, now=now)
        except Exception as error:  # how the job itself ended is the news; it is due when the lease ends
            LOG.warning("the lease of job %s can't be given back", job.name, exc_info=error)
    return True


async def _renew(job: Job, db: Database, holder: UUID) -> None:
    """Until cancelled, twice before the lease ends: what fails once is not the end of it."""
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 3)
        try:
            held = await db.execute(_RENEW, name=job.name, holder=holder, until=db.clock.now() + LEASE)
        except Exception as error:
            LOG.warning("the lease of job %s can't be renewed", job.name, exc_info=error)
        else:
            if not held:
                LOG.warning("job %s runs elsewhere as well", job.name)
