"""A person's packs."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from crafiq.assets.v1 import assets_pb2

from chassis import pages
from chassis.rpc import Call
from services.assets.domain.packs import Pack
from services.assets.domain.refusals import UpdateMaskInvalid
from services.assets.handler import rendering, showing
from services.assets.handler.desk import At
from services.assets.repository import THE_END

FIELDS = ("title", "assets")


class Packing(At):
    """Packs are made, filled, put in order, emptied, deleted; assets stay in the library all the while."""

    async def CreatePack(self, request: assets_pb2.CreatePackRequest, call: Call) -> assets_pb2.Pack:
        """An empty pack."""
        pack = Pack.begin(call.account, request.title, self._desk.new_id(), self._desk.clock.now())
        return await showing.pack(
            self._desk, await self._desk.packs.create(pack, request.request_id, request)
        )

    async def ListPacks(
        self, request: assets_pb2.ListPacksRequest, call: Call
    ) -> assets_pb2.ListPacksResponse:
        """A page of packs, newest first, with the number of what is in each."""
        size = pages.size(request.page_size)
        decoded = self._desk.pages.decode("packs", call.account, request.page_token) or THE_END
        after = cast(tuple[datetime, UUID], decoded)  # tokens are signed: it is what was encoded below
        found = await self._desk.packs.page(call.account, after, size + 1)
        page, more = found[:size], found[size:]
        token = (
            self._desk.pages.encode("packs", call.account, (page[-1].created_at, page[-1].id)) if more else ""
        )
        shown = await showing.packs(self._desk, page)
        return assets_pb2.ListPacksResponse(packs=shown, next_page_token=token)

    async def GetPack(self, request: assets_pb2.GetPackRequest, call: Call) -> assets_pb2.Pack:
        """One pack."""
        return await showing.pack(
            self._desk, await self._desk.packs.get(call.account, rendering.pack_id(request.name))
        )

    async def UpdatePack(self, request: assets_pb2.UpdatePackRequest, call: Call) -> assets_pb2.Pack:
        """Another title, another order."""
        asked, named = request.pack, rendering.pack_id(request.pack.name)
        fields = _fields(request)
        if not fields:
            return await showing.pack(self._desk, await self._desk.packs.get(call.account, named))

        def change(pack: Pack, there: list[UUID]) -> list[UUID]:
            pack.unchanged_since(asked.etag)
            if "title" in fields:
                pack.rename(asked.title)
            if "assets" not in fields:
                return there
            return pack.reordered(there, [rendering.asset_id(name) for name in asked.assets])

        return await showing.pack(self._desk, await self._desk.packs.change(call.account, named, change))

    async def DeletePack(
        self, request: assets_pb2.DeletePackRequest, call: Call
    ) -> assets_pb2.DeletePackResponse:
        """The pack goes, what was in it stays."""
        gone = await self._desk.packs.delete(call.account, rendering.pack_id(request.name), request.etag)
        receipt = assets_pb2.PackReceipt(
            pack=request.name,
            rows=1 + gone.assets,
            was_public=gone.pack.public,
            assets_kept=gone.assets,
            publications_kept=gone.publications,
        )
        receipt.delete_time.FromDatetime(self._desk.clock.now())
        return assets_pb2.DeletePackResponse(receipt=receipt)

    async def RemoveAssets(self, request: assets_pb2.RemoveAssetsRequest, call: Call) -> assets_pb2.Pack:
        """Less."""
        gone = {rendering.asset_id(name) for name in request.assets}

        def change(_pack: Pack, there: list[UUID]) -> list[UUID]:
            return [asset for asset in there if asset not in gone]

        named = rendering.pack_id(request.name)
        return await showing.pack(self._desk, await self._desk.packs.change(call.account, named, change))


def _fields(request: assets_pb2.UpdatePackRequest) -> set[str]:
    named = set(request.update_mask.paths)
    for path in named - {*FIELDS, "*"}:
        raise UpdateMaskInvalid(path=path)
    if "*" in named:
        return set(FIELDS)
    return named or {field for field in FIELDS if getattr(request.pack, field)}
