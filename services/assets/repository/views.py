"""How often public works are looked at: counted in memory, written in batches, without who and when."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database, Statement

SECONDS = 5.0
"""How long views are in memory; a process that dies takes those of this time along."""
# In order, so that two processes never wait for one another.
ADD = Statement(
    text(
        """
        WITH seen AS (
          SELECT * FROM unnest(CAST(:publications AS uuid[]), CAST(:numbers AS bigint[])) AS s(seen, number)),
        counts AS (
          SELECT publication FROM publication_counts WHERE publication = ANY(:publications)
          ORDER BY publication FOR NO KEY UPDATE)
        UPDATE publication_counts SET views = views + seen.number FROM seen, counts
        WHERE publication_counts.publication = counts.publication AND counts.publication = seen.seen
        """
    )
)


class Views:
    """Counts of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: Counter[UUID] = Counter()

    def saw(self, publication: UUID) -> None:
        """Somebody looked at a public work."""
        self._seen[publication] += 1

    async def run(self) -> None:
        """Write what was counted every few seconds, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(SECONDS)
                await self.write()
        finally:
            await self.write()

    async def write(self) -> None:
        """Write what was counted; if the database is away, that is kept."""
        seen, self._seen = self._seen, Counter()
        if not seen:
            return
        try:
            await self._db.execute(ADD, publications=list(seen), numbers=list(seen.values()))
        except BaseException:
            self._seen.update(seen)
            raise
