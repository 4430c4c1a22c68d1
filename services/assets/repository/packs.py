"""Packs, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import bindparam, select, text
from sqlmodel import col

from chassis.db import Contended, Database, Record, Statement, Transaction, scalar
from promises import subjects
from services.assets.domain.library import Asset
from services.assets.domain.packs import PACKS_AT_MOST, Pack
from services.assets.domain.refusals import AssetNotFound, PackNotFound, PacksTooMany
from services.assets.domain.renditions import PublicRendition, Rendition
from services.assets.repository import countdowns
from services.assets.repository.renditions import public_rendition_of, rendition_of

_PACK = select(Pack).where(col(Pack.id) == bindparam("pack"), col(Pack.account) == bindparam("owner"))
PACK = Statement(_PACK, Pack)
PACK_LOCKED = Statement(_PACK.with_for_update(), Pack)
COUNT = Statement(text("SELECT count(*) FROM packs WHERE account = :account"), scalar)
ORDER = Statement(text("SELECT asset FROM pack_items WHERE pack = :pack ORDER BY position, asset"), scalar)
SIZES = Statement(
    text("SELECT pack, count(*) AS items FROM pack_items WHERE pack = ANY(:packs) GROUP BY pack")
)
PAGE = Statement(
    text(
        "SELECT * FROM packs WHERE account = :owner AND (created_at, id) < (:before, :before_id) "
        "ORDER BY created_at DESC, id DESC LIMIT :most"
    ),
    Pack,
)
# Nobody deletes them until the pack that names them is committed. In order, so that two never wait for
# one another.
OWNED = Statement(
    text("SELECT id FROM assets WHERE id = ANY(:ids) AND account = :owner ORDER BY id FOR KEY SHARE"),
    scalar,
)
EMPTY = Statement(text("DELETE FROM pack_items WHERE pack = :pack AND asset <> ALL(:kept)"))
# An asset that is deleted at this moment is left out.
FILL = Statement(
    text(
        """
        INSERT INTO pack_items (pack, asset, account, position)
        SELECT :pack, assets.id, :owner, place
        FROM unnest(CAST(:assets AS uuid[])) WITH ORDINALITY AS wanted(asset, place)
        JOIN assets ON assets.id = wanted.asset ORDER BY assets.id FOR KEY SHARE OF assets
        ON CONFLICT (pack, asset) DO UPDATE SET position = excluded.position
        """
    )
)
# Ids are random, so this order says nothing about when.
PUBLIC = Statement(text("SELECT * FROM packs WHERE public AND id > :after ORDER BY id LIMIT :most"), Pack)
WORKS = Statement(
    text(
        "SELECT pack_items.pack, publications.id FROM pack_items JOIN publications USING (asset) "
        "WHERE pack_items.pack = ANY(:packs) AND NOT taken_down ORDER BY pack_items.position, publications.id"
    )
)
COVERS = Statement(
    text(
        "SELECT DISTINCT ON (pack) pack AS of_pack, renditions.* "
        "FROM pack_items JOIN renditions USING (asset) WHERE pack = ANY(:packs) AND kind = 'thumbnail' "
        "ORDER BY pack, position, asset"
    )
)
PUBLIC_COVERS = Statement(
    text(
        "SELECT DISTINCT ON (pack) pack AS of_pack, publication_renditions.* "
        "FROM pack_items JOIN publications USING (asset) "
        "JOIN publication_renditions ON publication_renditions.publication = publications.id "
        "WHERE pack = ANY(:packs) AND NOT taken_down AND publication_renditions.kind = 'thumbnail' "
        "ORDER BY pack, position, publications.id"
    )
)
UNPUBLISHED = Statement(
    text(
        "SELECT assets.* FROM assets WHERE id = ANY(:ids) AND account = :owner "
        "AND NOT EXISTS (SELECT FROM publications WHERE publications.asset = assets.id)"
    ),
    Asset,
)
TAKE_OUT = Statement(text("DELETE FROM pack_items WHERE pack = :pack RETURNING asset"), scalar)
PUBLIC_OF = Statement(
    text("SELECT count(*) FROM publications WHERE asset = ANY(:assets) AND NOT taken_down"), scalar
)
DELETE = Statement(text("DELETE FROM packs WHERE id = :pack"))


@dataclass(frozen=True, slots=True)
class Filled:
    """A pack and what is in it, in order."""

    pack: Pack
    assets: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Dissolved:
    """A pack that is gone; how many assets were in it, and how many of these are public."""

    pack: Pack
    assets: int
    publications: int


Change = Callable[[Pack, list[UUID]], list[UUID]]
"""Decides what a pack holds from now on, given what it holds; may change the pack itself."""


class Packs:
    """Packs of people."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, pack: Pack, request_id: str, request: Message) -> Filled:
        """Keep a new pack, or find the one that this request made before.

        Raises PacksTooMany, PackNotFound if that one was deleted, RequestIdReused, SubjectUnknown.
        """
        async with self._db.transaction() as tx:
            earlier = await tx.replay(pack.account, request_id, request, result=pack.name)
            if earlier is None:
                await subjects.hold(tx, pack.account)
                if await tx.one(COUNT, account=pack.account) >= PACKS_AT_MOST:
                    raise PacksTooMany(limit=PACKS_AT_MOST)
                await tx.insert(pack)
                return Filled(pack, ())
        return await self.get(pack.account, UUID(earlier.removeprefix("packs/")))

    async def get(self, account: UUID, pack: UUID) -> Filled:
        """A person's pack; raises PackNotFound."""
        found = await self._db.first(PACK, pack=pack, owner=account)
        if found is None:
            raise PackNotFound(pack=f"packs/{pack}")
        return Filled(found, tuple(await self._db.all(ORDER, pack=pack)))

    async def page(self, account: UUID, after: tuple[datetime, UUID], most: int) -> list[Pack]:
        """Up to `most` packs, newest first, after a position."""
        before, before_id = after
        return await self._db.all(PAGE, owner=account, before=before, before_id=before_id, most=most)

    async def sizes(self, packs: Sequence[Pack]) -> dict[UUID, int]:
        """How many assets are in each of them; those that are empty are left out."""
        rows: list[Record] = await self._db.all(SIZES, packs=[pack.id for pack in packs])
        return {row["pack"]: row["items"] for row in rows}

    async def covers(self, packs: Sequence[UUID]) -> dict[UUID, Rendition]:
        """The thumbnail that stands for each of these packs, if there is one."""
        found = await self._db.all(COVERS, packs=list(packs))
        return {record["of_pack"]: rendition_of(record) for record in found}

    async def public_covers(self, packs: Sequence[UUID]) -> dict[UUID, PublicRendition]:
        """The thumbnail that everyone may see, of each of these packs, if there is one."""
        found = await self._db.all(PUBLIC_COVERS, packs=list(packs))
        return {record["of_pack"]: public_rendition_of(record) for record in found}

    async def change(self, account: UUID, pack: UUID, change: Change) -> Filled:
        """Let its owner change a pack; what is in a public one has to be public.

        Raises PackNotFound, AssetNotFound, Contended, and what `change` raises.
        """
        async with self._db.transaction() as tx:
            found = await _locked(tx, account, pack)
            there = await tx.all(ORDER, pack=pack)
            hidden = not found.public
            wanted = change(found, there)
            fresh = [asset for asset in wanted if asset not in set(there)]
            await _owned(tx, account, fresh)
            # What its owner let go of stays in the pack: only what comes in or comes to be seen counts.
            seen = wanted if hidden else fresh
            if found.public and await tx.all(UNPUBLISHED, ids=seen, owner=account):
                raise Contended  # it became public a moment ago, or got something else to hold
            if wanted != there:
                # First the assets, then their places: deleting an asset takes its locks in this order.
                await countdowns.used(tx, list({*there} ^ {*wanted}))
                await tx.execute(EMPTY, pack=pack, kept=wanted)
                await tx.execute(FILL, pack=pack, owner=account, assets=wanted)
            found.changed()
            await tx.update(found)
            return Filled(found, tuple(await tx.all(ORDER, pack=pack)))

    async def public(self, after: UUID, most: int) -> list[Filled]:
        """Up to `most` packs that everyone sees, each with its publications, after an id."""
        packs = await self._db.all(PUBLIC, after=after, most=most)
        works: dict[UUID, list[UUID]] = {pack.id: [] for pack in packs}
        for record in await self._db.all(WORKS, packs=list(works)):
            works[record["pack"]].append(record["id"])
        return [Filled(pack, tuple(works[pack.id])) for pack in packs]

    async def unpublished(self, account: UUID, assets: Sequence[UUID]) -> list[Asset]:
        """Those of a person's assets that nobody else sees."""
        return await self._db.all(UNPUBLISHED, ids=list(assets), owner=account)

    async def delete(self, account: UUID, pack: UUID, etag: str) -> Dissolved:
        """Remove a pack; what was in it stays. Raises PackNotFound, PackChanged."""
        async with self._db.transaction() as tx:
            found = await _locked(tx, account, pack)
            found.unchanged_since(etag)
            await countdowns.used(tx, await tx.all(ORDER, pack=pack))
            assets = await tx.all(TAKE_OUT, pack=pack)
            publications = await tx.one(PUBLIC_OF, assets=assets)
            await tx.execute(DELETE, pack=pack)
        return Dissolved(found, len(assets), publications)


async def _locked(tx: Transaction, account: UUID, pack: UUID) -> Pack:
    found = await tx.first(PACK_LOCKED, pack=pack, owner=account)
    if found is None:
        raise PackNotFound(pack=f"packs/{pack}")
    return found


async def _owned(tx: Transaction, account: UUID, assets: list[UUID]) -> None:
    owned = set(await tx.all(OWNED, ids=assets, owner=account)) if assets else set()
    for asset in assets:
        if asset not in owned:
            raise AssetNotFound(asset=f"assets/{asset}")
