"""A person's library."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from crafiq.assets.v1 import assets_pb2

from chassis import pages
from chassis.rpc import Call
from services.assets.domain.library import Origin
from services.assets.domain.media import MediaKind
from services.assets.domain.refusals import UpdateMaskInvalid
from services.assets.handler import rendering, showing
from services.assets.handler.desk import At
from services.assets.repository import THE_END, Filter


class Reading(At):
    """What is there, under which title, and where its bytes are."""

    async def ListAssets(
        self, request: assets_pb2.ListAssetsRequest, call: Call
    ) -> assets_pb2.ListAssetsResponse:
        """A page of the library, newest first."""
        which, size = _filter(request), pages.size(request.page_size)
        listed = f"assets/{which}"
        decoded = self._desk.pages.decode(listed, call.account, request.page_token) or THE_END
        after = cast(tuple[datetime, UUID], decoded)  # tokens are signed: it is what was encoded below
        found = await self._desk.library.page(call.account, which, after, size + 1)
        page, more = found[:size], found[size:]
        token = (
            self._desk.pages.encode(listed, call.account, (page[-1].created_at, page[-1].id)) if more else ""
        )
        shown = await showing.assets(self._desk, page)
        return assets_pb2.ListAssetsResponse(assets=shown, next_page_token=token)

    async def GetAsset(self, request: assets_pb2.GetAssetRequest, call: Call) -> assets_pb2.Asset:
        """One asset."""
        found = await self._desk.library.get(call.account, rendering.asset_id(request.name))
        return await showing.asset(self._desk, found)

    async def UpdateAsset(self, request: assets_pb2.UpdateAssetRequest, call: Call) -> assets_pb2.Asset:
        """Another title."""
        asset = rendering.asset_id(request.asset.name)
        for path in request.update_mask.paths:
            if path not in {"title", "*"}:
                raise UpdateMaskInvalid(path=path)
        if not request.update_mask.paths and not request.asset.title:
            found = await self._desk.library.get(call.account, asset)
            return await showing.asset(self._desk, found)
        changed = await self._desk.library.rename(
            call.account, asset, request.asset.title, request.asset.etag
        )
        return await showing.asset(self._desk, changed)

    async def DeleteAsset(
        self, request: assets_pb2.DeleteAssetRequest, call: Call
    ) -> assets_pb2.DeleteAssetResponse:
        """Rows in one transaction, objects right after it or, if storage is away, by the sweeper."""
        asset = rendering.asset_id(request.name)
        removed = await self._desk.library.delete(call.account, asset, request.etag)
        done = await self._desk.remove(removed.objects)
        receipt = assets_pb2.DeletionReceipt(
            asset=request.name,
            rows=removed.rows,
            objects=len(removed.objects) if done else 0,
            objects_pending=0 if done else len(removed.objects),
            publication=f"publications/{removed.publication}" if removed.publication else "",
        )
        receipt.delete_time.FromDatetime(self._desk.clock.now())
        return assets_pb2.DeleteAssetResponse(receipt=receipt)

    async def DownloadAsset(
        self, request: assets_pb2.DownloadAssetRequest, call: Call
    ) -> assets_pb2.DownloadAssetResponse:
        """A URL that saves the bytes under the asset's title."""
        asset = await self._desk.library.get(call.account, rendering.asset_id(request.name))
        await self._desk.library.use([asset])
        url, expires_at = self._desk.storage.link(asset.object, saved_as=asset.disposition)
        response = assets_pb2.DownloadAssetResponse(url=url)
        response.expires_at.FromDatetime(expires_at)
        return response


def _filter(request: assets_pb2.ListAssetsRequest) -> Filter:
    kind = MediaKind(assets_pb2.MediaKind.Name(request.kind)) if request.kind else None
    origin = Origin(assets_pb2.Origin.Name(request.origin)) if request.origin else None
    return Filter(kind, origin)
