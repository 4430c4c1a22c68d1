"""Files of people, on their way in."""

from __future__ import annotations

from crafiq.assets.v1 import assets_pb2

from chassis.errors import Refusal
from chassis.rpc import Call
from services.assets.domain.library import Asset
from services.assets.domain.refusals import UploadNotFinished
from services.assets.domain.shelves import key_on_shelf
from services.assets.domain.uploads import Declared, Upload
from services.assets.handler import rendering, showing
from services.assets.handler.desk import At


class Uploading(At):
    """An upload is opened, the bytes go to storage, it is completed."""

    async def CreateUpload(self, request: assets_pb2.CreateUploadRequest, call: Call) -> assets_pb2.Upload:
        """Check what is declared, keep the upload, say where to put the bytes."""
        declared = Declared(request.filename, request.content_type, request.size_bytes, request.sha256)
        new_id = self._desk.new_id
        ids = new_id(), key_on_shelf(call.account, new_id()), new_id()
        upload = Upload.open(call.account, declared, ids, self._desk.clock.now())
        return self._place(await self._desk.uploads.open(upload, request.request_id, request))

    async def CompleteUpload(self, request: assets_pb2.CompleteUploadRequest, call: Call) -> assets_pb2.Asset:
        """Look at the bytes, write what may stay into the library, commit the asset, empty the quarantine."""
        upload = await self._desk.uploads.get(call.account, rendering.upload_id(request.name))
        if upload.completed_at is None:
            try:
                return await showing.asset(self._desk, await self._take_in(upload.not_refused()))
            except UploadNotFinished:
                # Who completed it at the same time has emptied the quarantine, or nothing has come yet.
                upload = await self._desk.uploads.get(call.account, upload.id)
                if upload.completed_at is None:
                    raise
        asset = await self._desk.library.get(upload.account, upload.asset)
        return await showing.asset(self._desk, asset)

    def _place(self, upload: Upload) -> assets_pb2.Upload:
        now = self._desk.clock.now()
        lives = upload.still_open(now).url_lives(now)
        url, headers = self._desk.storage.where_to_put(upload, lives)
        message = assets_pb2.Upload(name=upload.name, url=url, method="PUT", headers=headers)
        message.expires_at.FromDatetime(now + lives)
        return message

    async def _take_in(self, upload: Upload) -> Asset:
        upload.still_open(self._desk.clock.now())
        async with self._desk.workshop.room_for(upload.size_bytes):
            try:
                found = await self._desk.storage.uploaded(upload)
                content = await self._desk.workshop.examine(upload.media, found, upload.sha256)
            except Refusal as refusal:
                await self._refuse(upload, refusal)
                raise
            async with self._desk.shelved(upload.account, content) as key:
                asset = Asset.brought(upload, content, key, now := self._desk.clock.now())
                upload.complete(now)
                taken = await self._desk.library.take_in(upload, asset)
        kept = await self._desk.kept(taken, key)
        await self._desk.discard(upload.quarantine)
        return kept

    async def _refuse(self, upload: Upload, refusal: Refusal) -> None:
        """Bytes that can't be taken are not kept, and the answer stays the same."""
        if upload.refuse(refusal):
            await self._desk.uploads.save(upload)
            await self._desk.discard(upload.quarantine)
