"""The queue of mails."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, text, update
from sqlmodel import col

from chassis.db import Queries, Statement, scalar
from services.identity.domain.letters import MailKind
from services.identity.domain.mails import GIVE_UP_AFTER, Mail

# A sender that dies leaves its mails to others after this.
LEASE = timedelta(minutes=1)

CLAIM = Statement(
    text(
        """
        UPDATE mails SET due_at = :leased_until, attempts = attempts + 1
        WHERE id IN (SELECT id FROM mails WHERE due_at <= :now AND create_time > :made_after
          ORDER BY due_at LIMIT 10 FOR UPDATE SKIP LOCKED)
        RETURNING *
        """
    ),
    Mail,
)
# Whether or not it is due, or in somebody's hands.
GIVE_UP = Statement(
    text(
        """
        DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE create_time <= :made_until
          LIMIT 500 FOR UPDATE SKIP LOCKED)
        RETURNING kind
        """
    ),
    scalar,
)
DONE = Statement(delete(Mail).where(col(Mail.id) == bindparam("id_")))
LATER = Statement(
    update(Mail).where(col(Mail.id) == bindparam("id_")).values(due_at=bindparam("next_attempt"))
)


async def claim(queries: Queries, now: datetime) -> list[Mail]:
    """Up to ten mails that are due and not too old, nobody else's for a minute."""
    return await queries.all(CLAIM, now=now, made_after=now - GIVE_UP_AFTER, leased_until=now + LEASE)


async def give_up(queries: Queries, now: datetime) -> list[MailKind]:
    """Remove up to 500 mails that are too old to be sent; answers of which kinds they were."""
    return [MailKind(kind) for kind in await queries.all(GIVE_UP, made_until=now - GIVE_UP_AFTER)]


async def remove(queries: Queries, mail: UUID) -> None:
    """It was sent, or never will be."""
    await queries.execute(DONE, id_=mail)


async def postpone(queries: Queries, mail: UUID, until: datetime) -> None:
    """It could not be handed over; try again then."""
    await queries.execute(LATER, id_=mail, next_attempt=until)
