"""The ledger of tombstones as privacy writes it: locked objects outside of all databases."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from minio.commonconfig import COMPLIANCE
from minio.error import MinioException, S3Error
from minio.retention import Retention
from urllib3.exceptions import HTTPError

from promises.erasing import Wanted
from promises.ledger import Ledger, LedgerUnavailable, client, tombstone_key, void_key

T = TypeVar("T")
LOCKED = "AccessDenied"
"""What S3 answers to whoever wants to remove what is locked."""


class TombstoneLedger:
    """Writes tombstones that nobody can remove for `locked`: as long as backups live, and a margin.

    All methods raise LedgerUnavailable.
    """

    def __init__(self, url: str, bucket: str, keys: tuple[str, str], locked: timedelta) -> None:
        self._client, self._bucket, self._ledger = client(url, *keys), bucket, Ledger(url, bucket, keys)
        self._locked = locked

    async def write(self, wanted: Wanted) -> None:
        """Somebody is to be erased, whatever becomes of the databases."""
        await self._put(tombstone_key(wanted))

    async def void(self, wanted: Wanted) -> None:
        """Its tombstone does not count."""
        await self._put(void_key(wanted))

    async def void_all(self, erasure: UUID, until: datetime) -> None:
        """None of an erasure's tombstones up to this one counts."""
        for wanted in await self._ledger.standing():
            if wanted.erasure == erasure and wanted.deleted_at <= until:
                await self.void(wanted)

    async def sweep(self) -> int:
        """Remove what is past its lock, and leave what is not yet; answers how many objects went."""
        return await self._asked(self._sweep)

    async def _put(self, key: str) -> None:
        # Storage goes by its own clock, so the wall clock is meant, whatever the service's says.
        until = datetime.now(UTC) + self._locked

        def put() -> None:
            lock = Retention(COMPLIANCE, until)
            self._client.put_object(self._bucket, key, io.BytesIO(b"{}"), 2, retention=lock)

        await self._asked(put)

    def _sweep(self) -> int:
        before, removed = datetime.now(UTC) - self._locked, 0
        for each in self._client.list_objects(self._bucket, recursive=True, include_version=True):
            written: datetime | None = each.last_modified
            if each.object_name and written is not None and written < before:
                removed += self._removed(each.object_name, each.version_id)
        return removed

    def _removed(self, key: str, version: str | None) -> bool:
        """Whether it is gone; False if its lock lasts longer than those of today, by seconds or by days."""
        try:
            self._client.remove_object(self._bucket, key, version_id=version)
        except S3Error as error:
            if error.code != LOCKED:
                raise
            return False
        return True

    async def _asked(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (MinioException, HTTPError, OSError) as error:
            raise LedgerUnavailable from error
