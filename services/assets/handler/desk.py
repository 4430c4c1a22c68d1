"""What the RPCs of this service work with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
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
from services.assets.domain.shelves import key_on_shelf
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

    async def shelve(self, account: UUID, content: Content) -> UUID:
        """Write bytes of a person into the library; answers their key.

        The key is noted first, so that what was written and never committed is found and removed.
        """
        key = key_on_shelf(account, self.new_id())
        await self.library.note(key, self.clock.now())
        await self.storage.shelve(key, content)
        return key

    async def discard(self, key: UUID) -> None:
        """Remove bytes from quarantine; should storage not answer, the sweeper does it later."""
        try:
            await self.storage.discard([key])
        except Refusal as refusal:
            _left_to_the_sweeper(refusal)

    async def copy(self, asset: Asset, made: Publication) -> list[Rendition]:
        """Write public bytes; noted first, so that those without a publication are found and removed.

        Answers the renditions that were there and are public now too.
        """
        await self.publications.note(made.id, self.clock.now())
        there = await self.renditions.of(asset.id)
        copies = [self.storage.publish(each.object, made.id, each.kind) for each in there]
        try:
            await asyncio.gather(self.storage.publish(asset.object, made.id), *copies)
        except BlobMissing:
            raise AssetNotFound(asset=asset.name) from None
        return there

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
