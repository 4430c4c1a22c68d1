"""Subjects: one row a living account, the fence of everything personal (foreign keys end here)."""

from __future__ import annotations

from uuid import UUID

from chassis.db import Queries, Transaction


async def begin(tx: Transaction, account: UUID) -> bool:
    """The account lives from now on, said by AccountVerified. False if it did before, or was erased."""
    raise NotImplementedError


async def tombstoned(queries: Queries, account: UUID) -> bool:
    """Whether the account was erased here."""
    raise NotImplementedError
