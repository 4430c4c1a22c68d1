"""Retention: what is past its time goes away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from chassis.clock import Clock
from chassis.db import Database
from chassis.jobs import Job
from services.identity.adapters.peppers import Peppers
from services.identity.repository import accounts, security, sessions


def sweeps(db: Database, clock: Clock, peppers: Peppers) -> list[Job]:
    """One job for each noun; each run takes bounded batches until nothing is left."""

    def job(name: str, every: timedelta, sweep: Callable[..., Awaitable[int]]) -> Job:
        async def run() -> None:
            while await sweep(db, clock.now()):
                pass

        return Job(name, every, run)

    async def destroy() -> None:
        peppers.destroy()

    return [
        job("purge-unverified-and-links", timedelta(minutes=5), accounts.sweep),
        job("expire-sessions", timedelta(minutes=5), sessions.sweep),
        job("security-log-retention", timedelta(hours=1), security.sweep),
        Job("peppers", timedelta(hours=1), destroy),
    ]
