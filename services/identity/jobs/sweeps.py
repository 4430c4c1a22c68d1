"""Retention: what is past its time goes away, in bounded batches until nothing of it is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.db import Database
from chassis.jobs import Job
from services.identity.adapters.peppers import Peppers
from services.identity.jobs.postman import MAILS
from services.identity.repository import accounts, security, sessions
from services.identity.repository.mails import FAREWELLS, PEOPLES


def sweeps(db: Database, clock: Clock, peppers: Peppers) -> list[Job]:
    """One job for each noun."""

    def job(name: str, every: timedelta, sweep: Callable[[Database, datetime], Awaitable[None]]) -> Job:
        async def run() -> None:
            await sweep(db, clock.now())

        return Job(name, every, run)

    async def destroy() -> None:
        peppers.destroy()

    return [
        job("purge-unverified-and-links", timedelta(minutes=5), accounts.sweep),
        job("expire-sessions", timedelta(minutes=5), sessions.sweep),
        job("give-up-mails", timedelta(minutes=5), _give_up_mails),
        job("security-log-retention", timedelta(hours=1), security.sweep),
        Job("peppers", timedelta(hours=1), destroy),
    ]


async def _give_up_mails(db: Database, now: datetime) -> None:
    """Whatever holds a mail up: its row has an address, and ends."""
    for queue in (PEOPLES, FAREWELLS):
        while kinds := await queue.give_up(db, now):
            for kind in kinds:
                MAILS.labels(kind, "given_up").inc()
