"""The services that generation calls, as small servers of their own: they speak the protos over mutual TLS.

They stand here so that this service is tested alone; the whole platform is tested in tests/e2e.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import grpc.aio
from aiohttp import web
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc
from crafiq.billing.v1 import billing_pb2, billing_pb2_grpc
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from google.api import httpbody_pb2

from chassis.errors import FailedPrecondition, NotFound, Refusal, ResourceExhausted, Unavailable
from chassis.rpc import statuses
from tests.support import Tokens

Context = grpc.aio.ServicerContext[Any, Any]


class AssetNotFound(NotFound):
    """As assets says it."""

    sentence = "There is no asset {asset} in your library."


class LibraryFull(ResourceExhausted):
    """As assets might say it."""

    sentence = "There is no room for this."


class InsufficientCredits(FailedPrecondition):
    """As billing says it."""

    sentence = "This costs {credits} credits and you have {available}."


class HoldReleased(FailedPrecondition):
    """As billing says it."""

    sentence = "The hold for {generation} was given back: order again under a new id."


async def refuse(context: Context, refusal: Refusal) -> NoReturn:
    """End the call as the chassis would."""
    status = statuses.status_of(refusal, "crafiq.peer")
    code = next(code for code in grpc.StatusCode if code.name == refusal.status)
    await context.abort(code, status.message, statuses.trailers(status, refusal))
    raise AssertionError("abort raises")


@dataclass
class Stored:
    """An Output as it arrived."""

    header: assets_pb2.StoreOutputRequest.Header
    content: bytes
    name: str


@dataclass
class Assets(assets_pb2_grpc.AssetsServiceServicer):
    """A library: `inputs` by (account, asset). `down`: how many calls of an RPC fail for now.

    `broken`: Inputs whose bytes are not those that it speaks of. `full`: Outputs with this index are refused.
    `gates`: nothing is said about these Inputs, or about what is stored for these accounts, before their
    gate is open; `open <asset>` is the gate of who wants its bytes.
    """

    url: str = ""
    inputs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    outputs: dict[tuple[str, int], Stored] = field(default_factory=dict)
    down: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    broken: set[str] = field(default_factory=set)
    full: set[int] = field(default_factory=set)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    slow: float = 0.0

    def add(self, account: str, content: bytes, content_type: str) -> str:
        """Put an Input into somebody's library; answers its name."""
        name = f"assets/{uuid4()}"
        self.inputs[account, name] = content
        self.types[name] = content_type
        return name

    def of(self, generation: str) -> list[Stored]:
        """The Outputs of a generation, in order."""
        return [self.outputs[key] for key in sorted(self.outputs) if key[0] == generation]

    async def _called(self, rpc: str, context: Context) -> None:
        self.calls[rpc] += 1
        if self.down[rpc] > 0:
            self.down[rpc] -= 1
            await refuse(context, Unavailable())

    async def CheckInputs(
        self, request: assets_pb2.CheckInputsRequest, context: Context
    ) -> assets_pb2.CheckInputsResponse:
        await self._called("CheckInputs", context)
        found = []
        for name in request.assets:
            if name in self.gates:
                await self.gates[name].wait()
            content = self.inputs.get((request.account, name))
            if content is None:
                await refuse(context, AssetNotFound(asset=name))
            found.append(
                assets_pb2.Asset(name=name, content_type=self.types[name], size_bytes=len(content or b""))
            )
        return assets_pb2.CheckInputsResponse(assets=found)

    async def OpenInput(
        self, request: assets_pb2.OpenInputRequest, context: Context
    ) -> assets_pb2.OpenInputResponse:
        await self._called("OpenInput", context)
        await asyncio.sleep(self.slow)
        if (gate := self.gates.get(f"open {request.asset}")) is not None:
            await gate.wait()
        content = self.inputs.get((request.account, request.asset))
        if content is None:
            await refuse(context, AssetNotFound(asset=request.asset))
        return assets_pb2.OpenInputResponse(
            url=f"{self.url}/{request.account}/{request.asset}",
            content_type=self.types[request.asset],
            size_bytes=len(content or b""),
            sha256=hashlib.sha256(content or b"").hexdigest(),
        )

    async def StoreOutput(
        self, requests: AsyncIterator[assets_pb2.StoreOutputRequest], context: Context
    ) -> assets_pb2.Asset:
        header, content = None, bytearray()
        async for part in requests:
            if part.WhichOneof("part") == "header":
                header = part.header
            else:
                assert len(part.chunk) <= 262_144
                content += part.chunk
        await self._called("StoreOutput", context)
        assert header is not None
        assert hashlib.sha256(content).hexdigest() == header.sha256
        assert len(content) == header.size_bytes
        if header.index in self.full:
            await refuse(context, LibraryFull())
        key = (header.generation, header.index)
        stored = self.outputs.setdefault(key, Stored(header, bytes(content), f"assets/{uuid4()}"))
        if header.account in self.gates:
            await self.gates[header.account].wait()
        return assets_pb2.Asset(name=stored.name, content_type=header.content_type)


@dataclass
class Billing(billing_pb2_grpc.BillingServiceServicer):
    """Holds by generation; nothing is captured here. Only the `poor` have no credits."""

    poor: set[str] = field(default_factory=set)
    holds: dict[str, billing_pb2.Hold] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    down: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    async def _called(self, rpc: str, context: Context) -> None:
        self.calls[rpc] += 1
        if self.down[rpc] > 0:
            self.down[rpc] -= 1
            await refuse(context, Unavailable())

    async def PlaceHold(self, request: billing_pb2.PlaceHoldRequest, context: Context) -> billing_pb2.Hold:
        await self._called("PlaceHold", context)
        earlier = self.holds.get(request.generation)
        if earlier is not None:
            if earlier.state != billing_pb2.HELD:
                await refuse(context, HoldReleased(generation=request.generation))
            return earlier
        if request.account in self.poor:
            await refuse(context, InsufficientCredits(credits=request.credits, available=0))
        hold = billing_pb2.Hold(
            generation=request.generation, credits=request.credits, state=billing_pb2.HELD
        )
        self.holds[request.generation], self.owners[request.generation] = hold, request.account
        return hold

    async def ReleaseHold(
        self, request: billing_pb2.ReleaseHoldRequest, context: Context
    ) -> billing_pb2.Hold:
        await self._called("ReleaseHold", context)
        empty = billing_pb2.Hold(generation=request.generation)
        hold = self.holds.setdefault(request.generation, empty)
        self.owners[request.generation] = request.account
        hold.state = billing_pb2.RELEASED
        hold.credits = 0
        return hold


@dataclass
class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """The keys of access tokens."""

    tokens: Tokens

    async def GetJwks(self, _: identity_pb2.GetJwksRequest, _context: Context) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(content_type="application/json", data=await self.tokens.jwks())


@dataclass
class Peers:
    """All of them, and where they are."""

    assets: Assets
    billing: Billing
    tokens: Tokens
    addresses: dict[str, str]


@asynccontextmanager
async def peers(folder_of: Any) -> AsyncIterator[Peers]:
    """Serve them; `folder_of(name)` is the folder with the certificate of a service."""
    tokens = Tokens()
    assets, billing = Assets(), Billing()
    servers: list[grpc.aio.Server] = []
    addresses = {}
    for name, add, servicer in (
        ("assets", assets_pb2_grpc.add_AssetsServiceServicer_to_server, assets),
        ("billing", billing_pb2_grpc.add_BillingServiceServicer_to_server, billing),
        ("identity", identity_pb2_grpc.add_IdentityServiceServicer_to_server, Identity(tokens)),
    ):
        server = grpc.aio.server()
        add(servicer, server)
        port = server.add_secure_port("127.0.0.1:0", _credentials(folder_of(name)))
        await server.start()
        servers.append(server)
        addresses[name] = f"127.0.0.1:{port}"
    async with _bytes(assets):
        try:
            yield Peers(assets, billing, tokens, addresses)
        finally:
            await asyncio.gather(*(server.stop(0.1) for server in servers))


def _credentials(tls: Path) -> grpc.ServerCredentials:
    key, chain, ca = ((tls / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=ca, require_client_auth=True)


@asynccontextmanager
async def _bytes(assets: Assets) -> AsyncIterator[None]:
    """Where presigned URLs lead."""

    async def get(request: web.Request) -> web.Response:
        account, name = f"accounts/{request.match_info['a']}", f"assets/{request.match_info['b']}"
        if assets.down["bytes"] > 0:
            assets.down["bytes"] -= 1
            raise web.HTTPServiceUnavailable
        content = assets.inputs[account, name]
        return web.Response(body=content[::-1] if name in assets.broken else content)

    app = web.Application()
    app.add_routes([web.get("/accounts/{a}/assets/{b}", get)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assets.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()
