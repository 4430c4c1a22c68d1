"""Messages that could not be handled: listed, looked at, and given to their handler again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chassis.db import Database


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What failed. `payload` has names only, as every event; `reason` is a refusal's reason or an error's type."""

    message_id: str
    subject: str
    reason: str
    tries: int
    payload: bytes
    died_at: datetime


async def dead_letters(db: Database, limit: int = 100) -> list[DeadLetter]:
    """The latest ones."""
    raise NotImplementedError


async def replay(db: Database, message_id: str) -> bool:
    """Ask the service that runs on this database to try it again (within seconds); False if there is none."""
    raise NotImplementedError
