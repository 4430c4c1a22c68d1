"""Packs that everyone sees. What comes into one becomes public by itself, and for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import cast
from uuid import UUID

from crafiq.assets.v1 import assets_pb2

from chassis import pages
from chassis.rpc import Call
from services.assets.domain.library import Asset
from services.assets.domain.packs import Pack
from services.assets.domain.publications import Attribution, Publication
from services.assets.domain.refusals import AlreadyPublic, ConfirmationNeeded, PackTooLargeToPublish
from services.assets.domain.renditions import PublicRendition
from services.assets.handler import rendering, showing
from services.assets.handler.desk import At
from services.assets.repository import FIRST, Filled

PUBLISHED_AT_ONCE = 100
"""Assets that one act makes public."""
LISTED = "public/packs"


class PublicPacks(At):
    """The flag of a pack shows it or hides it; it never takes back what became public."""

    async def AddAssets(self, request: assets_pb2.AddAssetsRequest, call: Call) -> assets_pb2.Pack:
        """More, at the end; public first, if the pack is."""
        named, more = rendering.pack_id(request.name), [rendering.asset_id(name) for name in request.assets]
        if (await self._desk.packs.get(call.account, named)).pack.public:
            await self._publish(call.account, more, request)

        def change(pack: Pack, there: list[UUID]) -> list[UUID]:
            return pack.extended(there, more)

        return await showing.pack(self._desk, await self._desk.packs.change(call.account, named, change))

    async def PublishPack(self, request: assets_pb2.PublishPackRequest, call: Call) -> assets_pb2.Pack:
        """Everything in it becomes public, then the pack is shown; asked again, it goes on where it ended."""
        named = rendering.pack_id(request.name)
        filled = await self._desk.packs.get(call.account, named)
        await self._publish(call.account, filled.assets, request)

        def change(pack: Pack, there: list[UUID]) -> list[UUID]:
            pack.public = True
            return there

        return await showing.pack(self._desk, await self._desk.packs.change(call.account, named, change))

    async def UnpublishPack(self, request: assets_pb2.UnpublishPackRequest, call: Call) -> assets_pb2.Pack:
        """Hidden; what was public in it stays public."""

        def change(pack: Pack, there: list[UUID]) -> list[UUID]:
            pack.public = False
            return there

        named = rendering.pack_id(request.name)
        return await showing.pack(self._desk, await self._desk.packs.change(call.account, named, change))

    async def ListPublicPacks(
        self, request: assets_pb2.ListPublicPacksRequest, _call: Call
    ) -> assets_pb2.ListPublicPacksResponse:
        """A page of packs, in the order of random ids."""
        size = pages.size(request.page_size)
        decoded = self._desk.pages.decode(LISTED, None, request.page_token) or (FIRST,)
        (after,) = cast(tuple[UUID], decoded)  # tokens are signed: it is what was encoded below
        found = await self._desk.packs.public(after, size + 1)
        page, more = found[:size], found[size:]
        token = self._desk.pages.encode(LISTED, None, (page[-1].pack.id,)) if more else ""
        covers = await self._desk.packs.public_covers([each.pack.id for each in page])
        shown = [self._as_everyone_sees(each, covers.get(each.pack.id)) for each in page]
        return assets_pb2.ListPublicPacksResponse(packs=shown, next_page_token=token)

    def _as_everyone_sees(self, filled: Filled, cover: PublicRendition | None) -> assets_pb2.PublicPack:
        message = assets_pb2.PublicPack(name=filled.pack.name, title=filled.pack.title)
        message.publications.extend(f"publications/{work}" for work in filled.assets)
        if cover is not None:
            url = rendering.public_url(self._desk.public_url, cover.publication, cover.kind)
            message.cover.CopyFrom(rendering.rendition(cover, url))
        return message

    async def _publish(
        self,
        account: UUID,
        assets: Sequence[UUID],
        request: assets_pb2.AddAssetsRequest | assets_pb2.PublishPackRequest,
    ) -> None:
        await self._desk.library.those(account, assets)
        wanted = await self._desk.packs.unpublished(account, assets)
        if not request.confirm:
            what = f"{len(wanted)} assets that come to be in the pack" if wanted else "the pack"
            raise ConfirmationNeeded(what=what, licence=self._desk.licence.version)
        if len(wanted) > PUBLISHED_AT_ONCE:
            raise PackTooLargeToPublish(limit=PUBLISHED_AT_ONCE)
        chosen = assets_pb2.Attribution.Name(request.attribution or assets_pb2.ANONYMOUS)
        await asyncio.gather(*(self._make_public(asset, Attribution(chosen)) for asset in wanted))

    async def _make_public(self, asset: Asset, attribution: Attribution) -> None:
        desk = self._desk
        made = Publication.of(asset, attribution, desk.licence, desk.new_id(), desk.clock.now())
        with suppress(AlreadyPublic):  # somebody was faster
            async with desk.copied(asset, made) as copied:
                await desk.publications.add(made, copied)
