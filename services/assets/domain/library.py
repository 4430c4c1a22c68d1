"""An asset: one thing in a person's library, its object in storage, and what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Index, Text, text

from promises.inventory import DELETE, plain, subject
from services.assets.domain.media import TYPES, MediaKind, MediaType
from services.assets.domain.refusals import EtagMismatch
from services.assets.domain.rows import CAME, FILE, NAMES, TITLE, Row
from services.assets.domain.titles import disposition, file_name, output_title, title
from services.assets.domain.uploads import Upload


class Origin(StrEnum):
    """Where an asset came from."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that may enter the library, and what they were found to be. Sides in pixels."""

    media: MediaType
    content: bytes
    sha256: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An Output on its way in: for whom, which of which generation's, from which of their assets."""

    account: UUID
    generation: UUID
    index: int
    inputs: tuple[UUID, ...] = ()


class Asset(Row, table=True):
    """Exists only with its object."""

    __tablename__ = "assets"
    __table_args__ = (
        Index("ix_assets_account_created", "account", "created_at", "id"),
        Index(
            "ux_assets_output",
            "generation",
            "output_index",
            unique=True,
            postgresql_where=text("generation IS NOT NULL"),
        ),
    )

    id: UUID = plain(NAMES, primary_key=True)
    account: UUID = subject(DELETE, index=False)
    title: str = TITLE.column()
    kind: MediaKind = FILE.column(Text)
    origin: Origin = CAME.column(Text)
    content_type: str = FILE.column()
    size_bytes: int = FILE.column(BigInteger)
    sha256: str = FILE.column()
    width: int | None = FILE.column()
    height: int | None = FILE.column()
    object: UUID = plain("the key of an object")
    generation: UUID | None = CAME.column()
    output_index: int | None = CAME.column()
    # Whether a file that somebody uploaded is among its ancestors: such a work never trains a model, and
    # must not begin to when the upload, and with it the lineage, is deleted.
    from_upload: bool = CAME.column()
    created_at: datetime = CAME.column(DateTime(timezone=True))
    revision: int = plain("counts changes")

    @classmethod
    def brought(cls, upload: Upload, content: Content, key: UUID, now: datetime) -> Self:
        """What a person uploaded, under the name that its upload chose for it."""
        named = upload.file_name or f"{content.media.kind.lower()}.{content.media.ending}"
        return cls(
            id=upload.asset, account=upload.account, title=named, **_facts(content, key, now, Origin.INPUT)
        )

    @classmethod
    def made(cls, delivery: Delivery, own: UUID, content: Content, key: UUID, now: datetime) -> Self:
        """What a vendor made; it counts as made from uploads until its lineage says otherwise."""
        asset = cls(
            id=own, account=delivery.account, title=output_title(delivery.index, content.media.ending),
            **_facts(content, key, now, Origin.OUTPUT),
        )  # fmt: skip
        asset.generation, asset.output_index = delivery.generation, delivery.index
        return asset

    def descend(self, parents: Sequence[Asset], count: int) -> None:
        """It was made from `count` assets, of which `parents` are still there; others count as uploads."""
        self.from_upload = len(parents) < count or any(parent.from_upload for parent in parents)

    @property
    def name(self) -> str:
        """`assets/{uuid}`."""
        return f"assets/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change (AIP-154)."""
        return f'"{self.revision}"'

    @property
    def disposition(self) -> str:
        """The Content-Disposition under which it is saved."""
        return disposition(file_name(self.title, TYPES[self.content_type].ending))

    def rename(self, new: str, etag: str) -> None:
        """Call it something else; raises EtagMismatch if it changed since `etag`, or TitleNotAllowed."""
        self.unchanged_since(etag)
        self.title = title(new, "asset.title")
        self.revision += 1

    def unchanged_since(self, etag: str) -> None:
        """Raise EtagMismatch if it changed since `etag`; the empty one is of any time."""
        if etag and etag != self.etag:
            raise EtagMismatch(asset=self.name)


def _facts(content: Content, key: UUID, now: datetime, origin: Origin) -> dict[str, Any]:
    return {
        "kind": content.media.kind, "origin": origin, "content_type": content.media.name,
        "size_bytes": len(content.content), "sha256": content.sha256, "width": content.width,
        "height": content.height, "object": key, "generation": None, "output_index": None,
        "from_upload": True, "created_at": now, "revision": 1,
    }  # fmt: skip


class Edge(Row, table=True):
    """An Output was made from an asset; gone with either."""

    __tablename__ = "lineage"
    __table_args__ = (
        ForeignKeyConstraint(["output"], ["assets.id"], "fk_lineage_output", ondelete="CASCADE"),
        ForeignKeyConstraint(["input"], ["assets.id"], "fk_lineage_input", ondelete="CASCADE"),
    )

    output: UUID = CAME.column(primary_key=True)
    input: UUID = CAME.column(primary_key=True, index=True)
    account: UUID = subject(DELETE)


class StoredObject(Row, table=True):
    """An object that is in the library's bucket, or may be: noted before it is written, until it is gone.

    No asset and shelved: its asset was deleted. No asset and not shelved: being written, or left over.
    """

    __tablename__ = "objects"
    __table_args__ = (
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_objects_asset", ondelete="SET NULL"),
        Index("ix_objects_loose", "noted_at", postgresql_where=text("asset IS NULL")),
    )

    key: UUID = plain("a hash of the account's number, and chance", primary_key=True)
    asset: UUID | None = plain(NAMES, index=True)
    noted_at: datetime = plain("when it was to be written", DateTime(timezone=True))
    shelved: bool = plain("whether an asset had it")
