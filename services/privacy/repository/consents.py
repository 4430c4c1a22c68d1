"""The ledger of consents."""

from __future__ import annotations

from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col

from chassis.db import Contended, Database, Queries, Statement, Transaction
from chassis.pages import Position
from promises import subjects
from services.privacy.domain import Chain, Commitment, ConsentChange

OWN = col(ConsentChange.account) == bindparam("of")
LATEST = Statement(
    select(ConsentChange)
    .where(OWN)
    .ext(distinct_on(col(ConsentChange.kind)))
    .order_by(col(ConsentChange.kind), col(ConsentChange.number).desc()),
    ConsentChange,
)
CHANGE = Statement(
    select(ConsentChange).where(OWN, col(ConsentChange.number) == bindparam("which")), ConsentChange
)
PAGE = Statement(
    select(ConsentChange)
    .where(OWN, col(ConsentChange.number) > bindparam("after"))
    .order_by(col(ConsentChange.number))
    .limit(bindparam("rows")),
    ConsentChange,
)


class Consents:
    """Who allowed what."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def chain(self, account: UUID, on: Queries | None = None) -> Chain:
        """What a person decided so far."""
        return Chain(account, await (on or self.db).all(LATEST, of=account))

    async def locked(self, tx: Transaction, account: UUID) -> Chain:
        """The same, and nobody else changes it until `tx` ends, so that each change knows the one before.

        Raises SubjectUnknown.
        """
        await subjects.hold(tx, account)
        return await self.chain(account, tx)

    async def add(self, tx: Transaction, change: ConsentChange) -> None:
        """Write a change, and its commitment where it outlives the person.

        Raises Contended if another change has its number: it was decided on what stood before that one, as
        happens where `tx` sees the database as it was before it waited in `locked` (REPEATABLE READ).
        """
        recorded_on = change.changed_at.date()
        link = Commitment(commitment=change.commitment, previous=change.previous, recorded_on=recorded_on)
        await tx.insert(link)
        try:
            await tx.insert(change)
        except UniqueViolationError:
            raise Contended from None

    async def change(self, tx: Transaction, account: UUID, name: str) -> ConsentChange:
        """The change of a name, `consents/{number}`."""
        return await tx.one(CHANGE, of=account, which=int(name.rpartition("/")[2]))

    async def page(self, account: UUID, after: Position | None, rows: int) -> list[ConsentChange]:
        """At most `rows` changes of a person after a position, oldest first."""
        [number] = after or (0,)
        return await self.db.all(PAGE, of=account, after=number, rows=rows)
