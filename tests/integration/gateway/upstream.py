"""Services that answer the same to everyone and remember what reached them, over mutual TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc
from crafiq.generation.v1 import generation_pb2, generation_pb2_grpc
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import empty_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from services.identity.handler.cookies import set_session
from tests.support import Tokens

HEARTBEATS = 3


@dataclass
class Reached:
    """One call that came through."""

    method: str
    request: Any
    metadata: dict[str, list[str]]
    deadline: float | None

    def all_of(self, name: str) -> list[str]:
        return self.metadata.get(name, [])


@dataclass
class Upstream:
    """What came through, and the switch that lets a stream go on."""

    tokens: Tokens
    reached: list[Reached] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    stream_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, method: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        metadata: dict[str, list[str]] = {}
        for key, value in context.invocation_metadata() or ():
            metadata.setdefault(key, []).append(value if isinstance(value, str) else value.hex())
        self.reached.append(Reached(method, request, metadata, context.time_remaining()))


@dataclass
class Said:
    """What a handler says in headers."""

    headers: list[tuple[str, str]] = field(default_factory=list)

    def set_header(self, name: str, value: str) -> None:
        """As a Call of the chassis takes it."""
        self.headers.append((name, value))


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def GetJwks(self, request: Any, context: Any) -> HttpBody:  # noqa: ARG002 - as gRPC calls it
        """Not remembered: the gateway fetches keys whenever it is time to."""
        return HttpBody(content_type="application/jwk-set+json", data=await self._upstream.tokens.jwks())

    async def CreateSession(self, request: Any, context: Any) -> identity_pb2.CreateSessionResponse:
        self._upstream.note("CreateSession", request, context)
        said: Any = Said()
        set_session(said, self._upstream.tokens.access(uuid4()), "opaque")
        await context.send_initial_metadata(said.headers)
        return identity_pb2.CreateSessionResponse(access_token="token")

    async def RefreshSession(self, request: Any, context: Any) -> identity_pb2.CreateSessionResponse:
        self._upstream.note("RefreshSession", request, context)
        return identity_pb2.CreateSessionResponse(access_token="token")

    async def ResendVerification(self, request: Any, context: Any) -> Any:
        self._upstream.note("ResendVerification", request, context)
        return identity_pb2.ResendVerificationResponse()

    async def Reauthenticate(self, request: Any, context: Any) -> Any:
        self._upstream.note("Reauthenticate", request, context)
        return identity_pb2.ReauthenticateResponse(reauth_token="proof")

    async def GetAccount(self, request: Any, context: Any) -> identity_pb2.Account:
        self._upstream.note("GetAccount", request, context)
        return identity_pb2.Account(name="accounts/somebody", state=identity_pb2.ACTIVE)

    async def SignOut(self, request: Any, context: Any) -> empty_pb2.Empty:
        self._upstream.note("SignOut", request, context)
        return empty_pb2.Empty()

    async def BatchGetPublicProfiles(self, request: Any, context: Any) -> Any:
        self._upstream.note("BatchGetPublicProfiles", request, context)
        return identity_pb2.BatchGetPublicProfilesResponse()


class Assets(assets_pb2_grpc.AssetsServiceServicer):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def GetAsset(self, request: Any, context: Any) -> assets_pb2.Asset:
        self._upstream.note("GetAsset", request, context)
        if request.name == "assets/none":
            await context.abort_with_status(_rich_not_found())
        return assets_pb2.Asset(name=request.name, size_bytes=9_007_199_254_740_993)

    async def ListAssets(self, request: Any, context: Any) -> assets_pb2.ListAssetsResponse:
        self._upstream.note("ListAssets", request, context)
        assets = [assets_pb2.Asset(name=f"assets/{n}", title="the same") for n in range(50)]
        return assets_pb2.ListAssetsResponse(assets=assets)

    async def UpdateAsset(self, request: Any, context: Any) -> assets_pb2.Asset:
        self._upstream.note("UpdateAsset", request, context)
        asset: assets_pb2.Asset = request.asset
        return asset

    async def DownloadAsset(self, request: Any, context: Any) -> assets_pb2.DownloadAssetResponse:
        self._upstream.note("DownloadAsset", request, context)
        return assets_pb2.DownloadAssetResponse(url="https://storage.example/x")

    async def CheckInputs(self, request: Any, context: Any) -> assets_pb2.CheckInputsResponse:
        self._upstream.note("CheckInputs", request, context)
        return assets_pb2.CheckInputsResponse()


class Generation(generation_pb2_grpc.GenerationServiceServicer):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def ListModels(self, request: Any, context: Any) -> generation_pb2.ListModelsResponse:
        self._upstream.note("ListModels", request, context)
        return generation_pb2.ListModelsResponse()

    async def CreateGeneration(self, request: Any, context: Any) -> generation_pb2.Generation:
        self._upstream.note("CreateGeneration", request, context)
        return generation_pb2.Generation(name="generations/one", prompt=request.prompt)

    async def WatchGeneration(self, request: Any, context: Any) -> AsyncIterator[HttpBody]:
        """One event at once, one when the test says so, then heartbeats until nobody listens.

        The streams of `generations/breaks` and `generations/waits` go on where the client was, by one
        event a connection; the first then ends, the second waits.
        """
        self._upstream.note("WatchGeneration", request, context)
        seen = int((self._upstream.reached[-1].all_of("last-event-id") or ["0"])[0])
        try:
            if request.name in {"generations/breaks", "generations/waits"}:
                yield _events(b"retry: 20\n" + _state(seen + 1))
            else:
                yield _events(_state(1))
                await self._upstream.go_on.wait()
                yield _events(_state(2))
            while request.name != "generations/breaks":
                yield _events(b": heartbeat\n\n")
                await asyncio.sleep(0.05)
        finally:
            self._upstream.stream_ended.set()

    async def StreamGeneration(self, request: Any, context: Any) -> AsyncIterator[generation_pb2.Generation]:
        """A state at once, one when the test says so."""
        self._upstream.note("StreamGeneration", request, context)
        yield generation_pb2.Generation(name=request.name, state=generation_pb2.RUNNING)
        await self._upstream.go_on.wait()
        yield generation_pb2.Generation(name=request.name, state=generation_pb2.SUCCEEDED)


def _events(data: bytes) -> HttpBody:
    return HttpBody(content_type="text/event-stream", data=data)


def _state(number: int) -> bytes:
    return b"id: %d\nevent: state\ndata: {}\n\n" % number


def _rich_not_found() -> Any:
    info = error_details_pb2.ErrorInfo(
        reason="ASSET_NOT_FOUND", domain="crafiq.assets", metadata={"asset": "assets/none"}
    )
    packed = AnyMessage()
    packed.Pack(info)
    status = status_pb2.Status(code=5, message="There is no asset assets/none.", details=[packed])
    return _GrpcStatus(
        grpc.StatusCode.NOT_FOUND,
        status.message,
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


@dataclass
class _GrpcStatus(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: Any


async def serve(handler: Any, add: Any, tls_dir: Path) -> tuple[grpc.aio.Server, int]:
    """A server that only clients of our own authority reach; answers it and its port."""
    pem = [(tls_dir / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt")]
    credentials = grpc.ssl_server_credentials([(pem[0], pem[1])], pem[2], require_client_auth=True)
    server = grpc.aio.server()
    add(handler, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, port
