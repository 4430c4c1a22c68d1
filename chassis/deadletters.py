"""Messages that could not be handled, or not be sent: listed, looked at, and tried again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database, Queries, Statement, scalar

UNSENT = "unsent:"
"""Stands before the message id of what the bus refused."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What failed. `payload` has names only, as every event; `reason` is a refusal's or an error's type.

    What the bus refused has the bus's reason.
    """

    message_id: str
    subject: str
    payload: bytes
    reason: str
    tries: int
    died: datetime

    @property
    def unsent(self) -> bool:
        """Whether it is this service's own, which the bus refused."""
        return self.message_id.startswith(UNSENT)


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
_BURY_UNSENT = Statement(
    text(
        "WITH unsent AS (DELETE FROM outbox WHERE number = :number RETURNING id, subject, payload)"  # noqa: S608  # our own columns
        f" INSERT INTO dead_letters ({_COLUMNS}, replay)"
        f" SELECT '{UNSENT}' || id, subject, payload, :reason, :tries, :died, false FROM unsent"
    )
)
_SEND = Statement(
    text(
        "INSERT INTO outbox (id, subject, payload, traceparent, created)"
        " VALUES (:id, :subject, :payload, '', :at)"
    )
)
_REPLAY = Statement(text("UPDATE dead_letters SET replay = true WHERE message_id = :message_id"))
_ASKED_FOR = Statement(
    text(f"SELECT {_COLUMNS} FROM dead_letters WHERE replay LIMIT 1 FOR UPDATE SKIP LOCKED"),  # noqa: S608  # our own columns
    _letter,
)
HOW_MANY = Statement(text("SELECT count(*) FROM dead_letters"), scalar)
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


async def bury_unsent(db: Database, number: int, reason: str, tries: int) -> None:
    """Take an event that the bus refuses out of the outbox, and keep it here."""
    await db.execute(_BURY_UNSENT, number=number, reason=reason, tries=tries, died=db.clock.now())


async def send(queries: Queries, letter: DeadLetter) -> None:
    """Put it back into the outbox, under the id that it had."""
    message_id = UUID(letter.message_id.removeprefix(UNSENT))
    values = {"subject": letter.subject, "payload": letter.payload, "at": queries.clock.now()}
    await queries.execute(_SEND, id=message_id, **values)


async def asked_for(queries: Queries) -> DeadLetter | None:
    """One that an operator wants tried again, locked; None if there is none."""
    return await queries.first(_ASKED_FOR)


async def dismiss(queries: Queries, letter: DeadLetter) -> None:
    """It was handled after all."""
    await queries.execute(_RAISE, message_id=letter.message_id)
