"""The queues of mails: those of people, and the farewells to people who are gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text, update

from chassis.db import Queries, Statement, scalar
from chassis.statements import table_of
from services.identity.domain.letters import MailKind
from services.identity.domain.mails import GIVE_UP_AFTER, Mail
from services.identity.domain.remembered import Farewell

Q = TypeVar("Q", Mail, Farewell)
# A sender that dies leaves its mails to others after this.
LEASE = timedelta(minutes=1)
AT_ONCE = 10


class Queue(Generic[Q]):
    """The mails of one table."""

    def __init__(self, kind: type[Q]) -> None:
        table: Any = table_of(kind)
        due = f"""
            UPDATE {table.name} SET due_at = :leased_until, attempts = attempts + 1
            WHERE id IN (SELECT id FROM {table.name} WHERE due_at <= :now AND create_time > :made_after
              ORDER BY due_at LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED)
            RETURNING *
        """  # noqa: S608  # our own tables
        # Whether or not it is due, or in somebody's hands.
        too_old = f"""
            DELETE FROM {table.name} WHERE id IN (SELECT id FROM {table.name}
              WHERE create_time <= :made_until LIMIT 500 FOR UPDATE SKIP LOCKED)
            RETURNING *
        """  # noqa: S608  # our own tables
        this = table.c.id == bindparam("id_")
        self._claim: Statement[Q] = Statement(text(due), kind)
        self._give_up: Statement[Q] = Statement(text(too_old), kind)
        self._there = Statement(select(table.c.id).where(this), scalar)
        self._done = Statement(delete(table).where(this))
        self._later = Statement(update(table).where(this).values(due_at=bindparam("next_attempt")))

    async def claim(self, queries: Queries, now: datetime) -> list[Q]:
        """Up to ten mails that are due and not too old, nobody else's for a minute."""
        return await queries.all(
            self._claim, now=now, made_after=now - GIVE_UP_AFTER, leased_until=now + LEASE
        )

    async def give_up(self, queries: Queries, now: datetime) -> list[MailKind]:
        """Remove up to 500 mails that are too old to be sent; answers of which kinds they were."""
        return [mail.kind for mail in await queries.all(self._give_up, made_until=now - GIVE_UP_AFTER)]

    async def has(self, queries: Queries, mail: UUID) -> bool:
        """False if it is gone, with its person."""
        return await queries.first(self._there, id_=mail) is not None

    async def remove(self, queries: Queries, mail: UUID) -> bool:
        """It was sent, or never will be; False if it was gone already, with its person."""
        return bool(await queries.execute(self._done, id_=mail))

    async def postpone(self, queries: Queries, mail: UUID, until: datetime) -> None:
        """It could not be handed over; try again then."""
        await queries.execute(self._later, id_=mail, next_attempt=until)


PEOPLES, FAREWELLS = Queue(Mail), Queue(Farewell)
