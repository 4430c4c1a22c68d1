"""Bytes in and out: Inputs from the library, Outputs into it. Both directions are proven by SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import aiohttp
import grpc.aio
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc

from chassis.errors import FailedPrecondition, Unavailable
from chassis.retry import connecting, reading
from chassis.rpc import refusal_from
from services.generation.domain import Input, Job, account_name, generation_name

CHUNK = 256 * 1024
OPEN_SECONDS = 5.0
STORE_SECONDS = 60.0
FETCH = aiohttp.ClientTimeout(total=60.0, connect=5.0, sock_read=15.0)
PATIENCE = 90.0
STORING = 30.0
"""How long storage may be away until what a vendor made is given up: a restart, and a failover."""


class InputBroken(FailedPrecondition):
    """The bytes are not those that the library speaks of."""

    sentence = "The bytes of {asset} are not what they should be; upload it again."


@asynccontextmanager
async def storage_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to object storage: presigned URLs only, so no cookies and nothing from the environment."""
    async with aiohttp.ClientSession(
        timeout=FETCH, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield session


class Assets:
    """The library as the worker needs it. Everything here is idempotent, and retried within bounds."""

    def __init__(
        self,
        stub: assets_pb2_grpc.AssetsServiceAsyncStub,
        http: aiohttp.ClientSession,
        storing: float = STORING,
    ) -> None:
        self._stub, self._http, self._storing = stub, http, storing

    async def fetch(self, account: UUID, asset: str) -> Input:
        """The bytes of an Input. Raises the library's refusal, InputBroken, or Unavailable."""
        return await reading(partial(self._fetch, account, asset), within=PATIENCE)

    async def store(self, job: Job, index: int, content: bytes, content_type: str) -> str:
        """Store Output number `index` (from 0) of a job; answers `assets/{uuid}`.

        Asked again, the answer is the same asset, so it is asked later and later: what has been made exists
        nowhere else. Raises the library's refusal, or Unavailable when it was away for too long.
        """
        header = assets_pb2.StoreOutputRequest.Header(
            account=account_name(job.account),
            generation=generation_name(job.id),
            index=index,
            content_type=content_type,
            size_bytes=len(content),
            sha256=await _sha256(content),
            inputs=job.inputs,
        )
        return await connecting(partial(self._store, header, content), within=self._storing)

    async def _fetch(self, account: UUID, asset: str) -> Input:
        request = assets_pb2.OpenInputRequest(account=account_name(account), asset=asset)
        try:
            opened = await self._stub.OpenInput(request, timeout=OPEN_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error
        content = await self._read(opened.url, opened.size_bytes)
        if len(content) != opened.size_bytes or await _sha256(content) != opened.sha256:
            raise InputBroken(asset=asset)
        return Input(asset, content, opened.content_type)

    async def _read(self, url: str, size: int) -> bytes:
        """The bytes, up to `size` and a chunk, so that what is longer is found out. Raises Unavailable."""
        parts = bytearray()
        try:
            async with self._http.get(url, allow_redirects=False, raise_for_status=True) as answer:
                async for part in answer.content.iter_chunked(CHUNK):
                    parts += part
                    if len(parts) > size:
                        break
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable from error
        return bytes(parts)

    async def _store(self, header: assets_pb2.StoreOutputRequest.Header, content: bytes) -> str:
        try:
            stored = await self._stub.StoreOutput(_parts(header, content), timeout=STORE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error
        return stored.name


async def _parts(
    header: assets_pb2.StoreOutputRequest.Header, content: bytes
) -> AsyncIterator[assets_pb2.StoreOutputRequest]:
    yield assets_pb2.StoreOutputRequest(header=header)
    for start in range(0, len(content), CHUNK):
        yield assets_pb2.StoreOutputRequest(chunk=content[start : start + CHUNK])


async def _sha256(content: bytes) -> str:
    return await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
