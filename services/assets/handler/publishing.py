"""What is public: made so for good, shown to everyone, liked, let go of."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from crafiq.assets.v1 import assets_pb2

from chassis import pages
from chassis.rpc import Call
from services.assets.domain.library import Asset
from services.assets.domain.publications import Attribution, Publication
from services.assets.domain.refusals import ConfirmationNeeded
from services.assets.handler import rendering
from services.assets.handler.desk import At
from services.assets.repository import FIRST, Shown


class Publishing(At):
    """Nothing here ever takes public bytes back."""

    async def PublishAsset(
        self, request: assets_pb2.PublishAssetRequest, call: Call
    ) -> assets_pb2.Publication:
        """Copy the bytes, then commit the publication; bytes without one are removed."""
        asset = await self._desk.library.get(call.account, rendering.asset_id(request.name))
        if not request.confirm:
            raise ConfirmationNeeded(what=asset.name, licence=self._desk.licence.version)
        attribution = Attribution(assets_pb2.Attribution.Name(request.attribution))
        made = Publication.of(
            asset, attribution, self._desk.licence, self._desk.new_id(), self._desk.clock.now()
        )
        published = await self._make_copy(asset, made, request)
        return await self._shown(await self._desk.publications.get(published), call)

    async def _make_copy(
        self, asset: Asset, made: Publication, request: assets_pb2.PublishAssetRequest
    ) -> UUID:
        publications = self._desk.publications
        if await publications.of_asset(asset.account, asset.id) is not None:
            return await publications.publish(made, [], request.request_id, request)
        async with self._desk.copied(asset, made) as copied:
            published = await publications.publish(made, copied, request.request_id, request)
        if published != made.id:
            await self._desk.hide(made)
        return published

    async def ListPublications(
        self, request: assets_pb2.ListPublicationsRequest, call: Call
    ) -> assets_pb2.ListPublicationsResponse:
        """A page of what is public, in the order of random ids."""
        owner = call.account if request.mine else None
        size, listed = pages.size(request.page_size), f"publications/{request.mine}"
        decoded = self._desk.pages.decode(listed, owner, request.page_token) or (FIRST,)
        (after,) = cast(tuple[UUID], decoded)  # tokens are signed: it is what was encoded below
        found = await self._desk.publications.page(after, size + 1, owner)
        page, more = found[:size], found[size:]
        token = self._desk.pages.encode(listed, owner, (page[-1].publication.id,)) if more else ""
        names = await self._desk.names.of(filter(None, (each.publication.shown_as for each in page)))
        shown = [self._rendered(each, names, call) for each in page]
        return assets_pb2.ListPublicationsResponse(publications=shown, next_page_token=token)

    async def GetPublication(
        self, request: assets_pb2.GetPublicationRequest, call: Call
    ) -> assets_pb2.Publication:
        """One work; that somebody else than its owner looked at it is counted, and nothing more."""
        publication = rendering.publication_id(request.name)
        message = await self._shown(await self._desk.publications.get(publication), call)
        if not message.mine:
            self._desk.views.saw(publication)
        return message

    async def LikePublication(
        self, request: assets_pb2.LikePublicationRequest, call: Call
    ) -> assets_pb2.Publication:
        """One more, once."""
        publication = rendering.publication_id(request.name)
        return await self._shown(await self._desk.publications.like(call.account, publication), call)

    async def UnlikePublication(
        self, request: assets_pb2.UnlikePublicationRequest, call: Call
    ) -> assets_pb2.Publication:
        """One less, once."""
        publication = rendering.publication_id(request.name)
        return await self._shown(await self._desk.publications.unlike(call.account, publication), call)

    async def AnonymisePublication(
        self, request: assets_pb2.AnonymisePublicationRequest, call: Call
    ) -> assets_pb2.Publication:
        """Nobody's from now on."""
        publication = rendering.publication_id(request.name)
        return await self._shown(await self._desk.publications.anonymise(call.account, publication), call)

    async def _shown(self, shown: Shown, call: Call) -> assets_pb2.Publication:
        named = shown.publication.shown_as
        return self._rendered(shown, await self._desk.names.of([named] if named else []), call)

    def _rendered(self, shown: Shown, names: dict[UUID, str], call: Call) -> assets_pb2.Publication:
        message = rendering.publication(shown, self._desk.public_url)
        row, caller = shown.publication, call.caller.account
        if row.shown_as is not None:
            message.username = names.get(row.shown_as, "")
        if caller is not None and row.account == caller:
            message.mine, message.asset = True, f"assets/{row.asset}" if row.asset else ""
        return message
