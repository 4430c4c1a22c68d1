"""An upload: bytes announced, put into quarantine, taken into the library."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, text
from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import Refusal
from promises.inventory import DELETE, plain, subject
from services.assets.domain.media import MediaType, media_type
from services.assets.domain.refusals import ContentTooLarge, UploadExpired, again, remembered
from services.assets.domain.rows import DECLARED, FILE_NAME, NAMES, UPLOAD_OPEN, UPLOADED, Row
from services.assets.domain.titles import title

URL_LIVES = timedelta(minutes=15)
"""How long the bytes may be on their way before they begin to arrive."""
OPEN_AT_MOST = 20
"""Uploads that one person may have open."""


class Upload(Row, table=True):
    """Open until it is completed, refused, or too old."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_account_opened", "account", "opened_at"),
        Index("ix_uploads_opened", "opened_at"),
        Index("ix_uploads_open", "quarantine", postgresql_where=text("completed_at IS NULL")),
    )

    id: UUID = plain(NAMES, primary_key=True)
    account: UUID = subject(DELETE, index=False)
    quarantine: UUID = plain("the key of an object, chosen at random")
    asset: UUID = plain(NAMES)
    file_name: str | None = FILE_NAME.column()
    content_type: str = DECLARED.column()
    size_bytes: int = DECLARED.column(BigInteger)
    sha256: str = DECLARED.column()
    opened_at: datetime = UPLOADED.column(DateTime(timezone=True))
    completed_at: datetime | None = UPLOADED.column(DateTime(timezone=True))
    refusal: dict[str, Any] | None = DECLARED.column(JSONB)

    @classmethod
    def open(cls, account: UUID, declared: Declared, ids: tuple[UUID, UUID, UUID], now: datetime) -> Self:
        """A new upload; `ids` are its own, its object's in quarantine, and that of the asset it will be."""
        own, quarantine, asset = ids
        return cls(
            id=own, account=account, quarantine=quarantine, asset=asset, file_name=declared.file_name,
            content_type=declared.media.name, size_bytes=declared.size, sha256=declared.sha256,
            opened_at=now, completed_at=None, refusal=None,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """`uploads/{uuid}`."""
        return f"uploads/{self.id}"

    @property
    def media(self) -> MediaType:
        """The type that was declared."""
        return media_type(self.content_type)

    def still_open(self, now: datetime) -> Self:
        """This upload; raises UploadExpired if it is too late for it."""
        if self.completed_at is None and now >= self.opened_at + UPLOAD_OPEN:
            raise UploadExpired
        return self

    def url_lives(self, now: datetime) -> timedelta:
        """How long a URL that is made now may be good for."""
        return min(URL_LIVES, self.opened_at + UPLOAD_OPEN - now)

    def not_refused(self) -> Self:
        """This upload; raises, again, the refusal that its bytes met with."""
        if self.refusal is not None:
            raise again(self.refusal)
        return self

    def refuse(self, refusal: Refusal) -> bool:
        """Its bytes can't be taken; False if asking again could end otherwise."""
        self.refusal = remembered(refusal)
        if self.refusal is not None:
            self.file_name = None
        return self.refusal is not None

    def complete(self, now: datetime) -> None:
        """It became an asset, which has the title from now on."""
        self.completed_at, self.file_name = now, None


class Declared:
    """What is said of a file before it comes, checked.

    Raises ContentTypeUnsupported, ContentTooLarge or TitleNotAllowed.
    """

    __slots__ = ("file_name", "media", "sha256", "size")

    def __init__(self, file_name: str, content_type: str, size: int, sha256: str) -> None:
        self.media = media_type(content_type)
        self.file_name, self.size, self.sha256 = title(file_name, "filename"), size, sha256
        if size > self.media.largest:
            raise ContentTooLarge(content_type=self.media.name, limit=self.media.largest)
