"""Uploads of people, on their way in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import bindparam, select, text
from sqlmodel import col

from chassis.db import Database, Statement, scalar
from promises import subjects
from promises.retention import ending, in_batches
from services.assets.domain.refusals import UploadExpired, UploadNotFound, UploadsTooMany
from services.assets.domain.rows import UPLOAD_OPEN
from services.assets.domain.uploads import OPEN_AT_MOST, Upload

OPEN_UPLOADS = Statement(
    text(
        "SELECT count(*) FROM uploads WHERE account = :account AND opened_at > :since "
        "AND completed_at IS NULL AND refusal IS NULL"
    ),
    scalar,
)
_UPLOAD = select(Upload).where(
    col(Upload.id) == bindparam("upload"), col(Upload.account) == bindparam("owner")
)
UPLOAD = Statement(_UPLOAD, Upload)
UPLOAD_LOCKED = Statement(_UPLOAD.with_for_update(), Upload)
END_UPLOADS = ending(
    "uploads", "(opened_at <= :opened_before AND completed_at IS NULL) OR opened_at <= :completed_before"
)
WANTED = Statement(
    text(
        "SELECT quarantine FROM uploads WHERE quarantine = ANY(:keys) "
        "AND completed_at IS NULL AND refusal IS NULL"
    ),
    scalar,
)


class Uploads:
    """Uploads of people."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def open(self, upload: Upload, request_id: str, request: Message) -> Upload:
        """Keep a new upload, or find the one that this request opened before.

        Raises UploadsTooMany, UploadExpired, RequestIdReused, SubjectUnknown.
        """
        async with self._db.transaction() as tx:
            earlier = await tx.replay(upload.account, request_id, request, result=upload.name)
            if earlier is None:
                # Two that one person opens at once are counted one after the other.
                await subjects.hold(tx, upload.account)
                since = upload.opened_at - UPLOAD_OPEN
                if await tx.one(OPEN_UPLOADS, account=upload.account, since=since) >= OPEN_AT_MOST:
                    raise UploadsTooMany(limit=OPEN_AT_MOST)
                await tx.insert(upload)
                return upload
        found = await self._db.first(
            UPLOAD, upload=UUID(earlier.removeprefix("uploads/")), owner=upload.account
        )
        if found is None:
            raise UploadExpired
        return found

    async def get(self, account: UUID, upload: UUID) -> Upload:
        """A person's upload; raises UploadNotFound."""
        found = await self._db.first(UPLOAD, upload=upload, owner=account)
        if found is None:
            raise UploadNotFound(upload=f"uploads/{upload}")
        return found

    async def save(self, upload: Upload) -> None:
        """Write what became of it."""
        await self._db.update(upload)

    async def end(self, *, opened_before: datetime, completed_before: datetime) -> None:
        """Forget uploads: those not completed, opened before a time; all, opened before another."""
        await in_batches(
            self._db, END_UPLOADS, opened_before=opened_before, completed_before=completed_before
        )

    async def wanted(self, keys: Sequence[UUID]) -> set[UUID]:
        """Which of these keys in quarantine belong to an open upload."""
        return set(await self._db.all(WANTED, keys=list(keys)))
