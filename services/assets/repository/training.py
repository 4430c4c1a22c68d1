"""Objections to training with public Outputs, and the works that they take out."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from chassis.db import Queries, Statement, Transaction, scalar
from promises import subjects

# Events come in any order, and again: only a later change is one.
HEAR = Statement(
    text(
        """
        INSERT INTO training_objections (account, change, stands) VALUES (:account, :change, :stands)
        ON CONFLICT (account) DO UPDATE SET change = excluded.change, stands = excluded.stands
        WHERE training_objections.change < excluded.change
        """
    )
)
STANDS = Statement(text("SELECT stands FROM training_objections WHERE account = :account"), scalar)
WITHDRAW = Statement(
    text(
        "INSERT INTO training_withdrawn (publication) "
        "SELECT id FROM publications WHERE account = :account AND training_eligible ON CONFLICT DO NOTHING"
    )
)
# Only what is still theirs: nobody is left who could take the objection back for the others.
GIVE_BACK = Statement(
    text(
        "DELETE FROM training_withdrawn USING publications "
        "WHERE publications.id = training_withdrawn.publication AND publications.account = :account"
    )
)


async def decided(tx: Transaction, account: UUID, change: int, *, objects: bool) -> None:
    """A person objects to training, or no more, by the change of this number. Raises SubjectUnknown.

    The account is held, as it is by whoever publishes: a work either sees the objection or is seen by it.
    """
    await subjects.hold(tx, account)
    if await tx.execute(HEAR, account=account, change=change, stands=objects):
        await tx.execute(WITHDRAW if objects else GIVE_BACK, account=account)


async def objected(queries: Queries, account: UUID) -> bool:
    """Whether a person's objection stands."""
    return bool(await queries.first(STANDS, account=account))
