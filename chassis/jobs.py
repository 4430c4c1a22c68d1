"""What a service does when time passes: one process at a time, whoever holds the lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chassis.db import Database


@dataclass(frozen=True)
class Job:
    """`run` is called about every `every`, by one process of the service; a failure is logged and tried next time.

    It must be safe to run twice at once all the same: a lease ends if its holder is stuck.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[Any]]


async def keep_running(job: Job, db: Database) -> None:
    """Run the job when it is due, until cancelled."""
    raise NotImplementedError
