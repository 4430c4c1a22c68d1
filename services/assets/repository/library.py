"""Assets of people, their lineage and their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from asyncpg import UniqueViolationError
from crafiq.assets.v1.events_pb2 import AssetDeleted
from sqlalchemy import bindparam, select, text
from sqlmodel import col

from chassis.db import Contended, Database, Statement, Transaction, scalar
from services.assets.domain.library import Asset, Delivery, Edge, Origin, StoredObject
from services.assets.domain.media import MediaKind
from services.assets.domain.refusals import AssetNotFound, UploadNotFound
from services.assets.domain.renditions import Rendering
from services.assets.domain.shelves import bounds
from services.assets.domain.uploads import Upload
from services.assets.repository import countdowns
from services.assets.repository.objects import (
    ABANDON,
    BEING_WRITTEN,
    FORGET,
    FORGET_SHELF,
    HELD,
    LOOSE,
    SHELVE,
    on_shelf,
)
from services.assets.repository.uploads import UPLOAD_LOCKED

_ASSET = select(Asset).where(col(Asset.id) == bindparam("asset"), col(Asset.account) == bindparam("owner"))
ASSET = Statement(_ASSET, Asset)
ASSET_LOCKED = Statement(_ASSET.with_for_update(), Asset)
ASSETS = Statement(text("SELECT * FROM assets WHERE id = ANY(:ids) AND account = :owner"), Asset)
# Nobody deletes them until the lineage that names them is committed.
PARENTS = Statement(
    text("SELECT * FROM assets WHERE id = ANY(:ids) AND account = :owner FOR KEY SHARE"), Asset
)
OUTPUT = Statement(
    text("SELECT * FROM assets WHERE generation = :made_by AND output_index = :number AND account = :owner"),
    Asset,
)
PAGE = Statement(
    text(
        """
        SELECT * FROM assets WHERE account = :owner AND (created_at, id) < (:before, :before_id)
          AND (CAST(:wanted_kind AS text) IS NULL OR kind = :wanted_kind)
          AND (CAST(:wanted_origin AS text) IS NULL OR origin = :wanted_origin)
        ORDER BY created_at DESC, id DESC LIMIT :most
        """
    ),
    Asset,
)
# Rows are counted before they cascade: the asset, its lineage, its places in packs, its renditions and
# that they were to be drawn, that it was to be removed.
OF_ASSET = Statement(
    text(
        "SELECT 1 + (SELECT count(*) FROM lineage WHERE output = :asset OR input = :asset) "
        "+ (SELECT count(*) FROM pack_items WHERE asset = :asset)"
        "+ (SELECT count(*) FROM renditions WHERE asset = :asset)"
        "+ (SELECT count(*) FROM renderings WHERE asset = :asset)"
        "+ (SELECT count(*) FROM countdowns WHERE asset = :asset)"
    ),
    scalar,
)
OBJECTS_OF = Statement(text("SELECT key FROM objects WHERE asset = :asset"), scalar)
FORGET_UPLOAD = Statement(text("DELETE FROM uploads WHERE asset = :asset AND account = :owner"))
# It stays public, and is nobody's from now on.
LET_GO = Statement(
    text(
        "UPDATE publications SET account = NULL, asset = NULL, attribution = NULL WHERE asset = :asset "
        "RETURNING id"
    ),
    scalar,
)
DELETE = Statement(text("DELETE FROM assets WHERE id = :asset"))
FORGET_GENERATION = Statement(
    text(
        "UPDATE assets SET generation = NULL, output_index = NULL "
        "WHERE account = :owner AND generation = :made_by"
    )
)

THE_END = datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which assets of a library; None is any."""

    kind: MediaKind | None = None
    origin: Origin | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.origin}"


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows went with an asset, the objects that are nobody's now, and the publication that is."""

    rows: int
    objects: tuple[UUID, ...]
    publication: UUID | None


class Library:
    """Assets of people, and the objects that are theirs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, account: UUID, asset: UUID) -> Asset:
        """A person's asset; raises AssetNotFound."""
        found = await self._db.first(ASSET, asset=asset, owner=account)
        if found is None:
            raise AssetNotFound(asset=f"assets/{asset}")
        return found

    async def those(self, account: UUID, assets: Sequence[UUID]) -> list[Asset]:
        """A person's assets in this order; raises AssetNotFound for the first that is not there."""
        found = {asset.id: asset for asset in await self._db.all(ASSETS, ids=list(assets), owner=account)}
        for asset in assets:
            if asset not in found:
                raise AssetNotFound(asset=f"assets/{asset}")
        return [found[asset] for asset in assets]

    async def page(
        self, account: UUID, which: Filter, after: tuple[datetime, UUID], most: int
    ) -> list[Asset]:
        """Up to `most` assets, newest first, after a position (`THE_END` is before all)."""
        before, before_id = after
        return await self._db.all(
            PAGE, owner=account, before=before, before_id=before_id, most=most,
            wanted_kind=which.kind, wanted_origin=which.origin,
        )  # fmt: skip

    async def output(self, delivery: Delivery) -> Asset | None:
        """What is already stored as this Output."""
        return await self._db.first(
            OUTPUT, made_by=delivery.generation, number=delivery.index, owner=delivery.account
        )

    async def rename(self, account: UUID, asset: UUID, title: str, etag: str) -> Asset:
        """Change a title; raises AssetNotFound, EtagMismatch or TitleNotAllowed."""
        async with self._db.transaction() as tx:
            found = await tx.first(ASSET_LOCKED, asset=asset, owner=account)
            if found is None:
                raise AssetNotFound(asset=f"assets/{asset}")
            found.rename(title, etag)
            await tx.update(found)
            await countdowns.used(tx, [asset])
        return found

    async def use(self, assets: Sequence[Asset]) -> None:
        """Note that somebody uses these, unless that was noted lately."""
        now = self._db.clock.now()
        await countdowns.used(self._db, [asset.id for asset in assets if asset.idle(now)])

    async def delete(self, account: UUID, asset: UUID, etag: str) -> Removed:
        """Remove an asset with all that hangs on it; its objects are then nobody's.

        Raises AssetNotFound, EtagMismatch.
        """
        async with self._db.transaction() as tx:
            found = await tx.first(ASSET_LOCKED, asset=asset, owner=account)
            if found is None:
                raise AssetNotFound(asset=f"assets/{asset}")
            found.unchanged_since(etag)
            return await self._remove(tx, found)

    async def expire(self, account: UUID, asset: UUID) -> bool:
        """Remove an asset as `delete` does if its time is over; False if it was used, or is gone."""
        async with self._db.transaction() as tx:
            found = await tx.first(ASSET_LOCKED, asset=asset, owner=account)
            if found is None or not await countdowns.over(tx, asset):
                return False
            await self._remove(tx, found)
        return True

    async def _remove(self, tx: Transaction, found: Asset) -> Removed:
        asset, account = found.id, found.account
        rows = await tx.one(OF_ASSET, asset=asset)
        objects = await tx.all(OBJECTS_OF, asset=asset)
        rows += await tx.execute(FORGET_UPLOAD, asset=asset, owner=account)
        publication = await tx.first(LET_GO, asset=asset)
        await tx.execute(DELETE, asset=asset)
        made_by = f"generations/{found.generation}" if found.generation else ""
        tx.emit(AssetDeleted(account=f"accounts/{account}", asset=found.name, generation=made_by))
        return Removed(rows, tuple(objects), publication)

    async def note(self, key: UUID, now: datetime) -> None:
        """An object is about to be written under this key."""
        await self._db.insert(StoredObject(key=key, asset=None, noted_at=now, shelved=False))

    async def take_in(self, upload: Upload, asset: Asset) -> Asset:
        """Commit an uploaded asset with its object; answers the one that is there if somebody was faster.

        Raises UploadNotFound if the upload ended meanwhile, AssetNotFound if the asset came and went.
        """
        async with self._db.transaction() as tx:
            current = await tx.first(UPLOAD_LOCKED, upload=upload.id, owner=upload.account)
            if current is None:
                raise UploadNotFound(upload=upload.name)
            if current.completed_at is None:
                await self._shelve(tx, asset)
                await tx.update(upload)
                return asset
        return await self.get(upload.account, upload.asset)

    async def _shelve(self, tx: Transaction, asset: Asset) -> None:
        await tx.insert(asset)
        if not await tx.execute(SHELVE, owner=asset.id, object_key=asset.object):
            raise Contended  # swept away: it took too long to write
        await tx.insert(Rendering.of_asset(asset.id, asset.created_at))

    async def store(self, delivery: Delivery, asset: Asset) -> Asset:
        """Commit an Output with its object and lineage; answers the one that is there if it came before."""
        try:
            async with self._db.transaction() as tx:
                named = set(delivery.inputs)
                parents = await tx.all(PARENTS, ids=list(named), owner=delivery.account) if named else []
                asset.descend(parents, len(named))
                await self._shelve(tx, asset)
                for parent in parents:
                    await tx.insert(Edge(output=asset.id, input=parent.id, account=delivery.account))
        except UniqueViolationError:
            stored = await self.output(delivery)
            if stored is None:
                raise
            return stored
        return asset

    async def loose(self, noted_before: datetime, most: int) -> list[UUID]:
        """Keys of objects that lost their asset, or were noted before a time and never had one."""
        return await self._db.all(LOOSE, noted_before=noted_before, most=most)

    async def forget_shelf(self, account: UUID) -> int:
        """The objects of somebody who was erased are gone, but for those that `being_written` counts."""
        return await self._db.one(FORGET_SHELF, **on_shelf(account))

    async def being_written(self, account: UUID) -> int:
        """How many objects, of the library and public ones, are being written for a person, or may be."""
        return await self._db.one(BEING_WRITTEN, **on_shelf(account))

    async def held(self, account: UUID) -> int:
        """How many objects a person has, uploads that may have come among them."""
        least, greatest = bounds(account)
        return await self._db.one(HELD, least=least, greatest=greatest, owner=account)

    async def abandon(self, keys: Sequence[UUID]) -> list[UUID]:
        """Those of these objects that no asset has, and none can have from now on."""
        return await self._db.all(ABANDON, keys=list(keys))

    async def forget(self, keys: Sequence[UUID]) -> None:
        """These objects are gone."""
        await self._db.execute(FORGET, keys=list(keys))


async def forget_generation(tx: Transaction, account: UUID, generation: UUID) -> None:
    """A generation was deleted: its Outputs stay, and name it no more."""
    await tx.execute(FORGET_GENERATION, owner=account, made_by=generation)
