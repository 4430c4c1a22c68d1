"""Messages that could not be handled: listed, looked at, and given to their handler again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text

from chassis.db import Database, Queries, Statement


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What failed. `payload` has names only, as every event; `reason` is a refusal's or an error's type."""

    message_id: str
    subject: str
    payload: bytes
    reason: str
    tries: int
    died: datetime


def _letter(record: object) -> DeadLetter:
    return DeadLetter(**dict(record))  # type: ignore[call-overload]  # a record is a mapping


_COLUMNS = "message_id, subject, payload, reason, tries, died"
_LATEST = Statement(text(f"SELECT {_COLUMNS} FROM dead_letters ORDER BY died DESC LIMIT :most"), _letter)  # noqa: S608  # our own columns
_BURY = Statement(
    text(
        f"INSERT INTO dead_letters ({_COLUMNS}, replay) "  # noqa: S608  # our own columns
        "VALUES (:message_id, :subject, :payload, :reason, :tries, :died, false) ON CONFLICT (message_id) "
        "DO UPDATE SET reason = excluded.reason, tries = dead_letters.tries + 1, replay = false"
    )
)
_REPLAY = Statement(text("UPDATE dead_letters SET replay = true WHERE message_id = :message_id"))
_ASKED_FOR = Statement(
    text(f"SELECT {_COLUMNS} FROM dead_letters WHERE replay LIMIT 1 FOR UPDATE SKIP LOCKED"),  # noqa: S608  # our own columns
    _letter,
)
_RAISE = Statement(text("DELETE FROM dead_letters WHERE message_id = :message_id"))


async def dead_letters(db: Database, most: int = 100) -> list[DeadLetter]:
    """The latest ones."""
    return await db.all(_LATEST, most=most)


async def replay(db: Database, message_id: str) -> bool:
    """Ask the service that runs on this database to try it again (within seconds); False if there is none."""
    return await db.execute(_REPLAY, message_id=message_id) == 1


async def bury(queries: Queries, letter: DeadLetter) -> None:
    """Keep a message that could not be handled."""
    await queries.execute(_BURY, **asdict(letter))


async def asked_for(queries: Queries) -> DeadLetter | None:
    """One that an operator wants tried again, locked; None if there is none."""
    return await queries.first(_ASKED_FOR)


async def dismiss(queries: Queries, letter: DeadLetter) -> None:
    """It was handled after all."""
    await queries.execute(_RAISE, message_id=letter.message_id)
