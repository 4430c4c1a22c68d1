"""What stays of people who deleted their accounts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, exists, select
from sqlmodel import col

from chassis.db import Queries, Statement, Transaction, scalar
from services.identity.domain.remembered import Farewell, RetainedName

KNOWN = Statement(
    select(
        exists().where(col(RetainedName.keyed_hash) == any_(bindparam("hashes", type_=ARRAY(LargeBinary))))
    ),
    scalar,
)


async def remember(tx: Transaction, name: RetainedName) -> None:
    """Keep a keyed hash."""
    await tx.insert(name)


async def remembered(queries: Queries, hashes: Sequence[bytes]) -> bool:
    """Whether one of these keyed hashes is kept."""
    return bool(await queries.one(KNOWN, hashes=list(hashes)))


async def part(tx: Transaction, farewell: Farewell) -> None:
    """Queue the last mail."""
    await tx.insert(farewell)
