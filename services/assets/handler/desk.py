"""What the RPCs of this service work with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from chassis.clock import Clock
from chassis.errors import Refusal
from chassis.pages import Pages
from services.assets.adapters.blobs import BlobMissing
from services.assets.adapters.names import Names
from services.assets.adapters.storage import Storage
from services.assets.adapters.workshop import Workshop
from services.assets.domain.library import Asset, Content
from services.assets.domain.publications import Licence, Publication
from services.assets.domain.refusals import AssetNotFound
from services.assets.domain.renditions import Rendition
from services.assets.domain.shelves import key_on_shelf, shelf_of
from services.assets.repository import Library, Packs, Publications, Renditions, Uploads, Views

LOG = logging.getLogger("crafiq.assets")


@dataclass(frozen=True)
class Desk:
    """Made once, in `__main__`."""

    uploads: Uploads
    library: Library
    packs: Packs
    publications: Publications
    renditions: Renditions
    views: Views
    storage: Storage
    workshop: Workshop
    names: Names
    licence: Licence
    public_url: str
    pages: Pages
    clock: Clock
    new_id: Callable[[], UUID]

    @asynccontextmanager
    async def shelved(self, account: UUID, content: Content) -> AsyncIterator[UUID]:
        """Bytes of a person that were written into the library, under a key; gone if the block fails.

        The key is noted first, so that the sweeper finds what was written by whoever died meanwhile.
        """
        key = key_on_shelf(account, self.new_id())
        await self.library.note(key, self.clock.now())
        await self.storage.shelve(key, content)
        try:
            yield key
        except BaseException:
            await self._take_back([key])
            raise

    async def _take_back(self, keys: Sequence[UUID]) -> None:
        try:
            # The block may have committed and not know it.
            unwanted = await self.library.abandon(keys)
        except Refusal as refusal:
            _left_to_the_sweeper(refusal)
        else:
            await self.remove(unwanted)

    async def discard(self, key: UUID) -> None:
        """Remove bytes from quarantine; should storage not answer, the sweeper does it later."""
        try:
            await self.storage.discard([key])
        except Refusal as refusal:
            _left_to_the_sweeper(refusal)

    @asynccontextmanager
    async def copied(self, asset: Asset, made: Publication) -> AsyncIterator[list[Rendition]]:
        """Public bytes that were written, and the renditions of the asset among them; as `shelved`."""
        await self.publications.note(made.id, shelf_of(asset.account), self.clock.now())
        there = await self.renditions.of(asset.id)
        copies = [self.storage.publish(each.object, made.id, each.kind) for each in there]
        try:
            await asyncio.gather(self.storage.publish(asset.object, made.id), *copies)
        except BlobMissing:
            raise AssetNotFound(asset=asset.name) from None
        try:
            yield there
        except BaseException:
            await self.hide(made)
            raise

    async def hide(self, made: Publication) -> None:
        """Remove public bytes, unless their publication was committed after all."""
        try:
            if unwanted := await self.publications.abandon(made.id):
                await self.storage.unpublish(unwanted)
                await self.publications.forget(unwanted)
        except Refusal as refusal:
            _left_to_the_sweeper(refusal)

    async def kept(self, asset: Asset, key: UUID) -> Asset:
        """The asset; bytes written under `key` go if it has others, because somebody was faster."""
        if asset.object != key:
            await self.remove([key])
        return asset

    async def remove(self, keys: Sequence[UUID]) -> bool:
        """Remove objects that no asset has any more; False if that is left to the sweeper."""
        try:
            await self.storage.remove(keys)
            await self.library.forget(keys)
        except Refusal as refusal:
            _left_to_the_sweeper(refusal)
            return False
        return True


def _left_to_the_sweeper(refusal: Refusal) -> None:
    LOG.warning("bytes that nobody wants are left to the sweeper: %s", refusal.reason)


class At:
    """A part of the handler, at its desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
