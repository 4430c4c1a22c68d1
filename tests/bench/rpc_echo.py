"""What the chassis costs a call: our echo against a bare grpc.aio echo, same run, same TLS, same messages.

Both servers stand in one process of their own. Ours verifies the token (cached), checks access and
rules, bounds the call, traces one call in ten and counts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import uvloop
from crafiq.billing.v1 import billing_pb2

from chassis import telemetry
from chassis.clock import Clock
from chassis.rpc import AccessTokens, Call, Revocations
from chassis.rpc.client import open_channel
from chassis.rpc.server import RpcServer, server_credentials
from chassis.rpc.wrap import Surroundings
from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from tests.bench.rows import Measure, Row, compare, rate
from tests.support import Tokens, complete

GOAL = 0.85
IN_FLIGHT = 16
SERVICE = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]
REQUEST = billing_pb2.ListEntriesRequest(page_size=50)
SERIALIZERS = (billing_pb2.ListEntriesRequest, billing_pb2.ListEntriesResponse)


class Echo:
    """The one method of billing that is called."""

    async def ListEntries(
        self, _request: billing_pb2.ListEntriesRequest, _call: Call
    ) -> billing_pb2.ListEntriesResponse:
        return billing_pb2.ListEntriesResponse()


async def _bare(_request: billing_pb2.ListEntriesRequest, _context: Any) -> billing_pb2.ListEntriesResponse:
    return billing_pb2.ListEntriesResponse()


async def _start_bare(folder: Path) -> tuple[grpc.aio.Server, str]:
    asked, answer = SERIALIZERS
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(_bare, asked.FromString, answer.SerializeToString)
    methods = grpc.method_handlers_generic_handler(SERVICE.full_name, {"ListEntries": method})
    server.add_generic_rpc_handlers((methods,))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(folder))
    await server.start()
    return server, f"127.0.0.1:{port}"


async def _serve(folder: Path, jwks: bytes, out: Connection) -> None:
    telemetry.tracing.start("bench", 0.1, folder.parent / "traces.jsonl")
    clock = Clock()

    async def keys() -> bytes:
        return jwks

    ours = RpcServer(folder, Surroundings("crafiq.bench", AccessTokens(keys, clock, Revocations(clock))))
    ours.offer(SERVICE, complete(SERVICE, Echo)())
    bare, address = await _start_bare(folder)
    out.send([await ours.start("127.0.0.1:0"), address])
    with suppress(EOFError):  # the other end is closed, however its process ended
        await asyncio.to_thread(out.recv)
    await bare.stop(0)


def _server(folder: Path, jwks: bytes, out: Connection) -> None:
    uvloop.run(_serve(folder, jwks, out))


async def _measure(addresses: list[str], folder: Path, token: str) -> Row:
    headers = (
        ("authorization", f"Bearer {token}"),
        ("x-forwarded-for", "192.0.2.1"),
        ("user-agent", "bench"),
    )
    channels = [open_channel(address, folder, "billing") for address in addresses]

    def turns(channel: grpc.aio.Channel) -> Measure:
        asked, answer = SERIALIZERS
        call: Any = channel.unary_unary(
            f"/{SERVICE.full_name}/ListEntries", asked.SerializeToString, answer.FromString
        )
        return lambda: rate(lambda: call(REQUEST, metadata=headers, timeout=5), IN_FLIGHT)

    ours, bare = map(turns, channels)
    load = (
        f"{REQUEST.ByteSize()} B in, {len(token)} B token, 0 B out; gRPC, mutual TLS; {IN_FLIGHT} in flight"
    )
    row = await compare("rpc echo through the chassis", GOAL, ours, bare, load=load, unit="calls/s")
    for channel in channels:
        await channel.close()
    return row


def rows() -> list[Row]:
    """The one comparison, with servers of its own."""
    with tempfile.TemporaryDirectory(prefix="crafiq-bench-") as scratch:
        certificates, tokens = Certificates(StateFolder(Path(scratch))), Tokens()
        our_end, theirs = multiprocessing.Pipe()
        told = (certificates.folder("billing"), asyncio.run(tokens.jwks()), theirs)
        server = multiprocessing.get_context("spawn").Process(target=_server, args=told)
        server.start()
        theirs.close()
        try:
            token = tokens.access(uuid4())
            return [uvloop.run(_measure(our_end.recv(), certificates.folder("gateway"), token))]
        finally:
            our_end.close()
            server.terminate()
            server.join()
