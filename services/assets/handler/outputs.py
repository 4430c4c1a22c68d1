"""What generation brings."""

from __future__ import annotations

from collections.abc import AsyncIterator

from crafiq.assets.v1 import assets_pb2

from chassis.rpc import Call
from services.assets.domain.library import Asset, Delivery
from services.assets.domain.media import MediaType, media_type
from services.assets.domain.refusals import ContentTooLarge, OutputIncomplete
from services.assets.handler import rendering
from services.assets.handler.desk import At

Header = assets_pb2.StoreOutputRequest.Header


class Outputs(At):
    """An Output is stored once, however often it is brought."""

    async def StoreOutput(
        self, requests: AsyncIterator[assets_pb2.StoreOutputRequest], _call: Call
    ) -> assets_pb2.Asset:
        """Receive, look at the bytes as at a person's, write, commit with lineage."""
        header = await _header(requests)
        delivery, media = _delivery(header), media_type(header.content_type)
        stored = await self._desk.library.output(delivery)
        if stored is None:
            if header.size_bytes > media.largest:
                raise ContentTooLarge(content_type=media.name, limit=media.largest)
            async with self._desk.workshop.room_for(header.size_bytes):
                stored = await self._store(delivery, media, header, requests)
        return rendering.asset(stored)

    async def _store(
        self,
        delivery: Delivery,
        media: MediaType,
        header: Header,
        requests: AsyncIterator[assets_pb2.StoreOutputRequest],
    ) -> Asset:
        received = await _body(requests, header.size_bytes)
        content = await self._desk.workshop.examine(media, received, header.sha256)
        async with self._desk.shelved(delivery.account, content) as key:
            asset = Asset.made(delivery, self._desk.new_id(), content, key, self._desk.clock.now())
            stored = await self._desk.library.store(delivery, asset)
        return await self._desk.kept(stored, key)


async def _header(requests: AsyncIterator[assets_pb2.StoreOutputRequest]) -> Header:
    async for request in requests:
        if request.HasField("header"):
            return request.header
        break
    raise OutputIncomplete(problem="there is no header")


async def _body(requests: AsyncIterator[assets_pb2.StoreOutputRequest], size: int) -> bytes:
    body = bytearray()
    async for request in requests:
        body += request.chunk
        if request.HasField("header") or len(body) > size:
            raise OutputIncomplete(problem="there are more bytes than it announces, or a second header")
    if len(body) < size:
        raise OutputIncomplete(problem=f"{size - len(body)} bytes are missing")
    return bytes(body)


def _delivery(header: Header) -> Delivery:
    return Delivery(
        account=rendering.account_id(header.account),
        generation=rendering.generation_id(header.generation),
        index=header.index,
        inputs=tuple(rendering.asset_id(name) for name in header.inputs),
    )
