"""Renditions: a thumbnail and a poster of an asset, and of its public copy. Drawn after it came, or never."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text, text

from promises.inventory import DELETE, plain, subject
from services.assets.domain.library import Asset, Content
from services.assets.domain.media import TYPES
from services.assets.domain.publications import FACT
from services.assets.domain.refusals import ContentDamaged
from services.assets.domain.rows import FILE, NAMES, Row

TRIES_MOST = 3
"""After that an asset has no renditions, for good."""
LEASE = timedelta(minutes=3)
"""How long whoever claimed a rendering has for it: longer than drawing and storing may take."""
PAUSE = timedelta(seconds=10)
"""Before the second try; twice as long before the third."""
WEBP = TYPES["image/webp"]


class RenditionKind(StrEnum):
    """What a rendition is for; its value is its name in URLs."""

    POSTER = "poster"
    THUMBNAIL = "thumbnail"

    @property
    def box(self) -> int:
        """Pixels that it has on its longer side, at most."""
        return {RenditionKind.POSTER: 1024, RenditionKind.THUMBNAIL: 256}[self]


KINDS = tuple(RenditionKind)
"""In the order in which they are drawn and shown."""

Pictures = dict[RenditionKind, Content]
"""What was drawn of one file: all kinds, or nothing if it is no picture of anything."""


def drawn(pictures: Sequence[bytes]) -> Pictures:
    """Pictures as they came out of the process that drew them, looked at as if a stranger had sent them.

    Raises a refusal if they are not WebP, or larger than asked for.
    """
    if not pictures:
        return {}
    return {kind: _looked_at(kind, content) for kind, content in zip(KINDS, pictures, strict=True)}


def _looked_at(kind: RenditionKind, content: bytes) -> Content:
    cleaned = WEBP.clean(content)
    width, height = cleaned.width or 0, cleaned.height or 0
    if not 0 < max(width, height) <= kind.box:
        raise ContentDamaged(problem="it is larger than its box")
    kept = cleaned.content
    return Content(WEBP, kept, hashlib.sha256(kept).hexdigest(), width, height)


class Rendition(Row, table=True):
    """One rendition of an asset, always WebP; gone with it."""

    __tablename__ = "renditions"
    __table_args__ = (
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_renditions_asset", ondelete="CASCADE"),
    )

    asset: UUID = plain(NAMES, primary_key=True)
    kind: RenditionKind = plain("one of a fixed set", Text, primary_key=True)
    account: UUID = subject(DELETE)
    size_bytes: int = FILE.column(BigInteger)
    width: int = FILE.column()
    height: int = FILE.column()
    object: UUID = plain("the key of an object, chosen at random")

    @classmethod
    def of(cls, asset: Asset, kind: RenditionKind, content: Content, key: UUID) -> Self:
        """What was drawn of an asset and stands under `key`."""
        return cls(asset=asset.id, kind=kind, account=asset.account, object=key, **_facts(content))


class PublicRendition(Row, table=True):
    """One rendition of a publication: made for good, as the publication is.

    Triggers refuse every change but one of nothing.
    """

    __tablename__ = "publication_renditions"
    __table_args__ = (
        ForeignKeyConstraint(["publication"], ["publications.id"], "fk_publication_renditions_publication"),
    )

    publication: UUID = plain("chosen at random", primary_key=True)
    kind: RenditionKind = plain("one of a fixed set", Text, primary_key=True)
    size_bytes: int = plain(FACT, BigInteger)
    width: int = plain(FACT)
    height: int = plain(FACT)

    @classmethod
    def of(cls, publication: UUID, kind: RenditionKind, content: Content) -> Self:
        """What was drawn of a public work."""
        return cls(publication=publication, kind=kind, **_facts(content))

    @classmethod
    def copied(cls, publication: UUID, rendition: Rendition) -> Self:
        """The public copy of a rendition."""
        return cls(
            publication=publication, kind=rendition.kind, size_bytes=rendition.size_bytes,
            width=rendition.width, height=rendition.height,
        )  # fmt: skip


def _facts(content: Content) -> dict[str, int]:
    assert content.width is not None
    assert content.height is not None
    return {"size_bytes": len(content.content), "width": content.width, "height": content.height}


class Rendering(Row, table=True):
    """What is to be drawn of an asset, or of a publication, or was: noted with it, kept as long.

    Whoever draws it claims it: `due` moves on by the lease and `tries` counts, so that somebody else
    takes it up if that one dies, and nobody for ever. No `due`: nothing is to be done any more.
    """

    __tablename__ = "renderings"
    __table_args__ = (
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_renderings_asset", ondelete="CASCADE"),
        ForeignKeyConstraint(["publication"], ["publications.id"], "fk_renderings_publication"),
        CheckConstraint("num_nonnulls(asset, publication) = 1", name="ck_renderings_of_one"),
        Index("ix_renderings_due", "due", postgresql_where=text("due IS NOT NULL")),
    )

    id: UUID = plain("that of the asset or of the publication", primary_key=True)
    asset: UUID | None = plain(NAMES, index=True)
    publication: UUID | None = plain("chosen at random")
    tries: int = plain("a number")
    due: datetime | None = plain("when it is tried next", DateTime(timezone=True))

    @classmethod
    def of_asset(cls, asset: UUID, now: datetime) -> Self:
        """To be drawn."""
        return cls(id=asset, asset=asset, publication=None, tries=0, due=now)

    @classmethod
    def of_publication(cls, publication: UUID, now: datetime | None) -> Self:
        """To be shown; without `now` all that there will be is shown already."""
        return cls(id=publication, asset=None, publication=publication, tries=0, due=now)

    @property
    def next_try(self) -> timedelta | None:
        """How long to wait after a try that failed; None if it was the last."""
        return None if self.tries >= TRIES_MOST else PAUSE * self.tries
