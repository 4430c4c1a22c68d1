"""What generation takes: whether a person may use assets, and their bytes."""

from __future__ import annotations

from crafiq.assets.v1 import assets_pb2

from chassis.rpc import Call
from services.assets.handler import rendering
from services.assets.handler.desk import At


class Inputs(At):
    """Another person's assets are not there, as those that never were."""

    async def CheckInputs(
        self, request: assets_pb2.CheckInputsRequest, _call: Call
    ) -> assets_pb2.CheckInputsResponse:
        """What the assets are, in the order asked, without their titles; they are in use from now on."""
        account = rendering.account_id(request.account)
        rows = await self._desk.library.those(account, [rendering.asset_id(name) for name in request.assets])
        await self._desk.library.use(rows)
        return assets_pb2.CheckInputsResponse(assets=[rendering.asset(row, titled=False) for row in rows])

    async def OpenInput(
        self, request: assets_pb2.OpenInputRequest, _call: Call
    ) -> assets_pb2.OpenInputResponse:
        """A URL for the bytes, and what they have to be."""
        account = rendering.account_id(request.account)
        asset = await self._desk.library.get(account, rendering.asset_id(request.asset))
        url, _ = self._desk.storage.link(asset.object)
        return assets_pb2.OpenInputResponse(
            url=url, content_type=asset.content_type, size_bytes=asset.size_bytes, sha256=asset.sha256
        )
