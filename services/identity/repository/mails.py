"""The queue of mails."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, text, update
from sqlmodel import col

from chassis.db import Queries, Statement
from services.identity.domain.mails import Mail

# A sender that dies leaves its mails to others after this.
LEASE = timedelta(minutes=1)

CLAIM = Statement(
    text(
        """
        UPDATE mails SET due_at = :leased_until, attempts = attempts + 1
        WHERE id IN (SELECT id FROM mails WHERE due_at <= :now
          ORDER BY due_at LIMIT 10 FOR UPDATE SKIP LOCKED)
        RETURNING *
        """
    ),
    Mail,
)
DONE = Statement(delete(Mail).where(col(Mail.id) == bindparam("id_")))
LATER = Statement(
    update(Mail).where(col(Mail.id) == bindparam("id_")).values(due_at=bindparam("next_attempt"))
)


async def claim(queries: Queries, now: datetime) -> list[Mail]:
    """Up to ten mails that are due, nobody else's for a minute."""
    return await queries.all(CLAIM, now=now, leased_until=now + LEASE)


async def remove(queries: Queries, mail: UUID) -> None:
    """It was sent, or never will be."""
    await queries.execute(DONE, id_=mail)


async def postpone(queries: Queries, mail: UUID, until: datetime) -> None:
    """It could not be handed over; try again then."""
    await queries.execute(LATER, id_=mail, next_attempt=until)
