"""The purge ledger: what vendors still have, whoever it was of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database, Queries, Record, Statement, Transaction, scalar
from services.generation.domain import Result, VendorCopy, arrived

# What never arrived leaves no copy; of what did, the vendor's own name for it is what it is purged by.
HEARD = Statement(
    text(
        "UPDATE vendor_copies SET heard = TRUE, reference = :reference,"
        " purge_time = CASE WHEN :arrived THEN purge_time ELSE :now END WHERE id = :attempt"
    )
)
OF_ACCOUNT = Statement(
    text(
        "UPDATE vendor_copies SET unwanted = TRUE, erasure = :erasure"
        " FROM egress WHERE egress.account = :owner AND vendor_copies.id = egress.id"
    )
)
OF_GENERATION = Statement(
    text(
        "UPDATE vendor_copies SET unwanted = TRUE FROM egress WHERE egress.account = :owner"
        " AND egress.generation = :generation AND vendor_copies.id = egress.id"
        " AND vendor_copies.purge_time IS NULL RETURNING vendor_copies.id"
    ),
    scalar,
)
# A copy that no vendor named can't be asked for: that of a sending under way may still be named.
UNWANTED = Statement(
    text(
        "SELECT * FROM vendor_copies WHERE unwanted AND purge_time IS NULL AND expire_time > :now"
        " AND reference <> '' AND id > :after"
        " AND (CAST(:erasure AS uuid) IS NULL OR erasure = :erasure) ORDER BY id LIMIT :most"
    ),
    VendorCopy,
)
PURGED = Statement(text("UPDATE vendor_copies SET purge_time = :now WHERE id = :attempt"))
TOLD = Statement(text("UPDATE egress SET purge_time = :now WHERE id = :attempt"))
CLOSED = Statement(
    text(
        "DELETE FROM vendor_copies WHERE id IN (SELECT id FROM vendor_copies"
        " WHERE expire_time <= :now OR (purge_time <= :before AND erasure IS NULL) LIMIT 1000)"
    )
)


@dataclass(frozen=True, slots=True)
class Remaining:
    """How many copies a vendor has, and when the last of them ends by its own clock."""

    vendor: str
    count: int
    until: datetime


def _remaining(record: Record) -> Remaining:
    return Remaining(record["vendor"], record["count"], record["until"])


_COUNT = "SELECT c.vendor, count(*) AS count, max(c.expire_time) AS until FROM vendor_copies c"
_LEFT = "c.purge_time IS NULL AND c.expire_time > :now GROUP BY c.vendor"
LEFT_OF_ACCOUNT = Statement(
    text(f"{_COUNT} JOIN egress ON egress.id = c.id WHERE egress.account = :owner AND {_LEFT}"),
    _remaining,
)
LEFT_OF_ERASURE = Statement(
    text(f"{_COUNT} WHERE erasure = :erasure AND {_LEFT}"),
    _remaining,
)


class Copies:
    """What vendors have."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def heard(self, attempt: UUID, result: Result) -> None:
        """How a sending ended; written even if its job, and whoever ordered it, are gone."""
        await self.db.execute(
            HEARD,
            attempt=attempt,
            reference=result.reference,
            arrived=arrived(result),
            now=self.db.clock.now(),
        )

    async def unwanted_of(self, tx: Transaction, account: UUID, erasure: UUID) -> None:
        """All copies of somebody who is being erased."""
        await tx.execute(OF_ACCOUNT, owner=account, erasure=erasure)

    async def unwanted_of_generation(self, tx: Transaction, account: UUID, generation: UUID) -> int:
        """All copies of a generation that its owner deleted; answers how many there are."""
        return len(await tx.all(OF_GENERATION, owner=account, generation=generation))

    async def unwanted(
        self, after: UUID, most: int, erasure: UUID | None = None, within: Queries | None = None
    ) -> list[VendorCopy]:
        """Up to `most` copies that should be gone and are not, by id; of one erasure, or of all."""
        now = self.db.clock.now()
        return await (within or self.db).all(UNWANTED, now=now, erasure=erasure, after=after, most=most)

    async def purged(self, attempts: Sequence[UUID]) -> None:
        """The vendor says that these are gone."""
        async with self.db.transaction() as tx:
            for attempt in attempts:
                await tx.execute(PURGED, attempt=attempt, now=self.db.clock.now())
                await tx.execute(TOLD, attempt=attempt, now=self.db.clock.now())

    async def left(self, account: UUID, erasure: UUID | None) -> list[Remaining]:
        """What is with vendors: of somebody, or of an erasure."""
        now = self.db.clock.now()
        if erasure is not None:
            return await self.db.all(LEFT_OF_ERASURE, erasure=erasure, now=now)
        return await self.db.all(LEFT_OF_ACCOUNT, owner=account, now=now)

    async def close(self, before: datetime) -> int:
        """Forget copies that ended by themselves, and those purged before a time; up to 1,000."""
        return await self.db.execute(CLOSED, now=self.db.clock.now(), before=before)
