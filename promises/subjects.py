"""Subjects: one row a living account, the fence of everything personal (foreign keys end here)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from chassis.db import Queries, Statement, Transaction
from chassis.errors import SubjectUnknown

_BEGIN = Statement(
    text("INSERT INTO subjects (account, since) VALUES (:account, :since) ON CONFLICT DO NOTHING")
)
# NO KEY: those who only add rows for the person need not wait for it.
_HOLD = Statement(text("SELECT FROM subjects WHERE account = :account FOR NO KEY UPDATE"))


def fence(account: UUID) -> str:
    """The key that beginning and erasing an account both claim, so that they can't pass each other."""
    return f"verified:{account}"


async def begin(tx: Transaction, account: UUID) -> bool:
    """The account lives from now on, said by AccountVerified. False if it did before, or was erased.

    Whoever erases claims the same key, whether or not there was a subject, and the key stays as
    long as the tombstone: an AccountVerified that comes late changes nothing.
    """
    if not await tx.claim(fence(account)):
        return False
    return await tx.execute(_BEGIN, account=account, since=tx.clock.now()) == 1


async def hold(tx: Transaction, account: UUID) -> None:
    """Until `tx` ends nobody else who holds this account goes on: what is read of it now stays true.

    Raises SubjectUnknown.
    """
    if await tx.first(_HOLD, account=account) is None:
        raise SubjectUnknown(account)


async def tombstoned(queries: Queries, account: UUID) -> bool:
    """Whether the account was erased here."""
    return await queries.erased(account)
