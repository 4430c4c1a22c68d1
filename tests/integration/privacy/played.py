"""The holders around privacy, played: each does what a test tells it, with its own certificate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from chassis.rpc.access import CallerNotAllowed
from chassis.rpc.statuses import status_of, trailers
from deploy.local.infra import Infra

Context = grpc.aio.ServicerContext[Any, Any]
OTHERS = ("identity", "assets", "generation", "billing")
ERASED = promises_pb2.Bucket(
    fate=promises_pb2.ERASED_NOW, counts=[promises_pb2.CategoryCount(category="CONTENT", count=3)]
)
STAYS = promises_pb2.Bucket(
    fate=promises_pb2.ANONYMISED, counts=[promises_pb2.CategoryCount(category="ACTIVITY", count=1)]
)


def kept(ground: str, until: datetime, **counts: int) -> promises_pb2.Bucket:
    """What stays until then, on this ground, counted by category."""
    found = [promises_pb2.CategoryCount(category=each, count=number) for each, number in counts.items()]
    bucket = promises_pb2.Bucket(fate=promises_pb2.RETAINED_UNTIL, ground=ground, counts=found)
    bucket.until.FromDatetime(until)
    return bucket


@dataclass
class Holder(promises_pb2_grpc.DataHolderServicer):
    """One holder. `down`: it answers nothing; `slow`: it goes on thinking; `refuses`: it does not know who
    asks; `obeys`: asked to erase, it does; `left`: what it finds; `asked`: whom it was asked to erase."""

    name: str
    buckets: list[promises_pb2.Bucket] = field(default_factory=lambda: [ERASED])
    left: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    copies: list[promises_pb2.VendorCopies] = field(default_factory=list)
    progress: int = promises_pb2.FINISHED
    down: bool = False
    slow: bool = False
    refuses: bool = False
    obeys: bool = True
    asked: list[str] = field(default_factory=list)
    looked: int = 0

    async def Preview(self, _request: Any, context: Context) -> promises_pb2.Plan:
        await self._if_up(context)
        return promises_pb2.Plan(holder=self.name, buckets=self.buckets)

    async def Erase(self, request: promises_pb2.EraseRequest, context: Context) -> promises_pb2.Standing:
        self.asked.append(request.account)
        await self._if_up(context)
        if self.obeys:
            self.left.clear()
        return promises_pb2.Standing(holder=self.name, progress=promises_pb2.ASKED)

    async def Verify(self, _request: Any, context: Context) -> promises_pb2.Findings:
        self.looked += 1
        await self._if_up(context)
        standing = promises_pb2.Standing(holder=self.name)
        standing.progress = self.progress  # type: ignore[assignment]  # one of the enum's
        return promises_pb2.Findings(
            holder=self.name,
            left=[promises_pb2.CategoryCount(category=c, count=n) for c, n in self.left.items()],
            waiting=self.waiting,
            vendor_copies=self.copies,
            standing=standing,
        )

    async def _if_up(self, context: Context) -> None:
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        if self.refuses:
            refused = status_of(CallerNotAllowed(method="DataHolder", caller="privacy"), self.name)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refused.message, trailers(refused))
        if self.slow:
            await asyncio.Event().wait()  # until whoever asked has had enough


@dataclass
class Played:
    """Those around privacy, by name, and where they are."""

    holders: Mapping[str, Holder]
    addresses: Mapping[str, str]

    def __getitem__(self, name: str) -> Holder:
        return self.holders[name]

    def reset(self) -> None:
        """As they are when nobody says otherwise."""
        for name, holder in self.holders.items():
            holder.__init__(name)  # type: ignore[misc]  # all fields again


@asynccontextmanager
async def played(infra: Infra) -> AsyncIterator[Played]:
    """Serve them."""
    holders, addresses = {name: Holder(name) for name in OTHERS}, {}
    async with AsyncExitStack() as stack:
        for name, holder in holders.items():
            addresses[name] = await stack.enter_async_context(_served(holder, infra.tls_dir(name)))
        yield Played(holders, addresses)


@asynccontextmanager
async def _served(holder: Holder, tls: Path) -> AsyncIterator[str]:
    key, chain, ca = ((tls / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    server = grpc.aio.server()
    promises_pb2_grpc.add_DataHolderServicer_to_server(holder, server)  # type: ignore[no-untyped-call]  # generated
    trusted = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", trusted)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
