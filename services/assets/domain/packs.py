"""A pack: an ordered selection of a person's assets. An asset may be in many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import DateTime, ForeignKeyConstraint, Index, text

from promises.inventory import DELETE, plain, subject
from services.assets.domain.refusals import PackChanged, PackFull, PackOrderIncomplete
from services.assets.domain.rows import CAME, NAMES, TITLE, Row
from services.assets.domain.titles import title

HOLDS_AT_MOST = 1000
"""Assets in one pack."""
PACKS_AT_MOST = 1000
"""Packs of one person."""


class Pack(Row, table=True):
    """What is in it stands in `Item`; that becomes less by itself when an asset is deleted."""

    __tablename__ = "packs"
    __table_args__ = (Index("ix_packs_account_created", "account", "created_at", "id"),)

    id: UUID = plain(NAMES, primary_key=True)
    account: UUID = subject(DELETE, index=False)
    title: str = TITLE.column()
    created_at: datetime = CAME.column(DateTime(timezone=True))
    revision: int = plain("counts changes")
    public: bool = CAME.column(sa_column_kwargs={"server_default": text("false")})

    @classmethod
    def begin(cls, account: UUID, named: str, own: UUID, now: datetime) -> Self:
        """An empty pack; raises TitleNotAllowed."""
        return cls(
            id=own, account=account, title=title(named, "title"), created_at=now, revision=1, public=False
        )

    @property
    def name(self) -> str:
        """`packs/{uuid}`."""
        return f"packs/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change that its owner makes (AIP-154)."""
        return f'"{self.revision}"'

    def unchanged_since(self, etag: str) -> None:
        """Raise PackChanged if it changed since `etag`; the empty one is of any time."""
        if etag and etag != self.etag:
            raise PackChanged(pack=self.name)

    def rename(self, new: str) -> None:
        """Call it something else; raises TitleNotAllowed."""
        self.title = title(new, "pack.title")

    def reordered(self, there: Sequence[UUID], wanted: Sequence[UUID]) -> list[UUID]:
        """The new order of what is in it; raises PackOrderIncomplete unless it is all of that, each once."""
        if sorted(there) != sorted(wanted):
            raise PackOrderIncomplete(pack=self.name)
        return list(wanted)

    def extended(self, there: Sequence[UUID], more: Sequence[UUID]) -> list[UUID]:
        """What is in it when `more` came to the end of it; raises PackFull."""
        order = list(dict.fromkeys([*there, *more]))
        if len(order) > HOLDS_AT_MOST:
            raise PackFull(limit=HOLDS_AT_MOST)
        return order

    def changed(self) -> None:
        """Its owner did something to it."""
        self.revision += 1


class Item(Row, table=True):
    """An asset is in a pack; gone with either."""

    __tablename__ = "pack_items"
    __table_args__ = (
        ForeignKeyConstraint(["pack"], ["packs.id"], "fk_pack_items_pack", ondelete="CASCADE"),
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_pack_items_asset", ondelete="CASCADE"),
    )

    pack: UUID = CAME.column(primary_key=True)
    asset: UUID = CAME.column(primary_key=True, index=True)
    account: UUID = subject(DELETE)
    position: int = CAME.column()
