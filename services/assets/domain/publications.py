"""A publication: the public copy of an asset. It stays, whatever becomes of the asset and its owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Index, Text, text

from promises.inventory import ANONYMISE, DELETE, plain, subject
from services.assets.domain.library import Asset, Origin
from services.assets.domain.media import MediaKind
from services.assets.domain.rows import LIKED, PUBLISHED, Row

FACT = "a fact of public bytes, the same for everyone who has them"


class Attribution(StrEnum):
    """Whether a public work says who made it."""

    NAMED = "NAMED"
    ANONYMOUS = "ANONYMOUS"


@dataclass(frozen=True, slots=True)
class Licence:
    """The text under which works become public: its version, and its SHA-256 in lower-case hex."""

    version: str
    sha256: str


class Publication(Row, table=True):
    """Append-only: triggers refuse every change but the owner's going and a takedown, and every deletion.

    No title: what people call their files is not theirs to take back here. The day and not the time, a
    random id, an object that is named for it: nothing here can be laid beside the library's own times.
    """

    __tablename__ = "publications"
    __table_args__ = (
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_publications_asset", ondelete="SET NULL"),
        Index("ux_publications_asset", "asset", unique=True, postgresql_where=text("asset IS NOT NULL")),
    )

    id: UUID = plain("chosen at random", primary_key=True)
    account: UUID | None = subject(ANONYMISE)
    asset: UUID | None = PUBLISHED.column()
    attribution: Attribution | None = PUBLISHED.column(Text)
    kind: MediaKind = plain(FACT, Text)
    content_type: str = plain(FACT)
    size_bytes: int = plain(FACT, BigInteger)
    sha256: str = plain(FACT)
    width: int | None = plain(FACT)
    height: int | None = plain(FACT)
    published_on: date = plain("a day on which many publish")
    licence_version: str = plain("the same for all of its time")
    licence_sha256: str = plain("the same for all of its time")
    training_eligible: bool = plain("of the work, not of a person")
    taken_down: bool = plain("a decision about the work")

    @classmethod
    def of(cls, asset: Asset, attribution: Attribution, licence: Licence, own: UUID, now: datetime) -> Self:
        """The publication `own` of an asset. What was made from somebody's upload never trains a model."""
        return cls(
            id=own, account=asset.account, asset=asset.id, attribution=attribution, kind=asset.kind,
            content_type=asset.content_type, size_bytes=asset.size_bytes, sha256=asset.sha256,
            width=asset.width, height=asset.height, published_on=now.date(),
            licence_version=licence.version, licence_sha256=licence.sha256,
            training_eligible=asset.origin is Origin.OUTPUT and not asset.from_upload, taken_down=False,
        )  # fmt: skip

    def objected(self) -> None:
        """Its owner objects to training: it never trains a model, whatever they decide later."""
        self.training_eligible = False

    @property
    def name(self) -> str:
        """`publications/{uuid}`."""
        return f"publications/{self.id}"

    @property
    def shown_as(self) -> UUID | None:
        """The account whose name stands beside it, if one does."""
        return self.account if self.attribution == Attribution.NAMED else None


class Counts(Row, table=True):
    """How often something happened to a publication; not who did it."""

    __tablename__ = "publication_counts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["publication"], ["publications.id"], "fk_counts_publication", ondelete="CASCADE"
        ),
    )

    publication: UUID = plain("chosen at random", primary_key=True)
    likes: int = plain("a number")
    views: int = plain("a number", BigInteger, sa_column_kwargs={"server_default": text("0")})


class Like(Row, table=True):
    """Somebody likes a publication. It goes with the person; the number stays."""

    __tablename__ = "likes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["publication"], ["publications.id"], "fk_likes_publication", ondelete="CASCADE"
        ),
    )

    account: UUID = subject(DELETE, primary_key=True)
    publication: UUID = LIKED.column(primary_key=True)


class Copying(Row, table=True):
    """Public bytes that are being written, or were and came to nothing; gone when the publication stands."""

    __tablename__ = "copying"

    publication: UUID = plain("chosen at random", primary_key=True)
    shelf: str | None = plain(
        "a hash of the account's number, until the bytes are somebody's or gone", index=True
    )
    noted_at: datetime = plain("when it was to be written", DateTime(timezone=True), index=True)
    abandoned: bool = plain("whether it came to nothing")
