"""A server with real handlers' descriptors, certificates of a throwaway CA, and who calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc.aio
import pytest
from crafiq.assets.v1 import assets_pb2 as a
from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from crafiq.generation.v1 import generation_pb2 as g
from google.api.httpbody_pb2 import HttpBody

from chassis.clock import Clock
from chassis.rpc import AccessTokens, Call, Revocations
from chassis.rpc.server import RpcServer
from chassis.rpc.wrap import Surroundings
from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from tests.support import Tokens, calling, complete

ASSETS = a.DESCRIPTOR.services_by_name["AssetsService"]
GENERATION = g.DESCRIPTOR.services_by_name["GenerationService"]
ANN = UUID(int=1)
ASSET = "assets/6f1f3a8e-6f0e-4c9e-8a8f-2b8f0c2d6a11"


class Assets:
    """`get` is what GetAsset does; the rest is not called, but StoreOutput."""

    def __init__(self) -> None:
        self.get: Callable[[a.GetAssetRequest, Call], Awaitable[a.Asset]] = self._echo

    async def _echo(self, request: a.GetAssetRequest, _call: Call) -> a.Asset:
        return a.Asset(name=request.name)

    async def GetAsset(self, request: a.GetAssetRequest, call: Call) -> a.Asset:
        return await self.get(request, call)

    async def StoreOutput(self, requests: AsyncIterator[a.StoreOutputRequest], call: Call) -> a.Asset:
        size = 0
        async for request in requests:
            size += len(request.chunk)
        return a.Asset(size_bytes=size, title=call.caller.service)

    async def UpdateAsset(self, request: a.UpdateAssetRequest, _call: Call) -> a.Asset:
        return a.Asset(name=request.asset.name)


class Generation:
    """`watch` is what WatchGeneration does."""

    watch: Callable[[Call], AsyncIterator[HttpBody]]

    async def WatchGeneration(self, _: g.WatchGenerationRequest, call: Call) -> AsyncIterator[HttpBody]:
        async for body in self.watch(call):
            yield body


class Served:
    """A server under test: its handlers, and channels to it as whoever a test likes to be."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates, self.tokens, self.clock = certificates, Tokens(), Clock()
        self.assets: Assets = complete(ASSETS, Assets)()
        self.generation: Generation = complete(GENERATION, Generation)()
        self.erased: set[UUID] = set()
        self.revocations = Revocations(self.clock)
        tokens = AccessTokens(self.tokens.jwks, self.clock, self.revocations)
        around = Surroundings("crafiq.assets", tokens, lambda: UUID(int=7), self._is_erased)
        self.server = RpcServer(certificates.folder("assets"), around)
        self.server.offer(ASSETS, self.assets)
        self.server.offer(GENERATION, self.generation)

    async def _is_erased(self, account: UUID) -> bool:
        return account in self.erased

    def channel(self, caller: str = "gateway", *, to: str = "assets") -> Any:
        return calling(self.address, self.certificates.folder(caller), to=to)

    async def get(self, **more: Any) -> a.Asset:
        """GetAsset as Ann, from outside."""
        async with self.channel() as channel:
            call = AssetsServiceStub(channel).GetAsset
            asset: a.Asset = await call(
                a.GetAssetRequest(name=ASSET), metadata=self.tokens.metadata(ANN), **more
            )
            return asset


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(StateFolder(tmp_path_factory.mktemp("rpc")))


@asynccontextmanager
async def serving(certificates: Certificates) -> AsyncIterator[Served]:
    served = Served(certificates)
    served.address = await served.server.start("127.0.0.1:0")
    try:
        yield served
    finally:
        await served.server.drain(grace=0)


@pytest.fixture
async def served(certificates: Certificates) -> AsyncIterator[Served]:
    async with serving(certificates) as served:
        yield served


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The certificate of a CA that is not ours."""
    return Certificates(StateFolder(tmp_path)).folder("gateway")


async def status_of(call: Awaitable[Any]) -> grpc.StatusCode:
    """The status that a call ends with, which is not OK."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    return caught.value.code()
