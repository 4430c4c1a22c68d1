"""What the chassis costs a call: our echo against a bare grpc.aio echo, same run, same TLS, same messages.

Usage: python -m tests.bench.rpc_echo [rounds]

Both servers stand in one process of their own; the client alternates between them in short turns, so
that other load on the machine falls on both. Ours verifies
the token (cached), checks access and rules, bounds the call, traces one call in ten and counts.
Prints one JSON object: {"name", "ours", "bare", "ratio", "goal", "unit", "met"} (calls a second).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
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
from tests.support import Tokens

GOAL = 0.80
IN_FLIGHT = 16
SERVICE = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]


class Echo:
    """Every method of billing; only ListEntries is called."""

    async def GetBalance(self, _request: billing_pb2.GetBalanceRequest, _call: Call) -> billing_pb2.Balance:
        return billing_pb2.Balance(available=7)

    async def ListEntries(
        self, _request: billing_pb2.ListEntriesRequest, _call: Call
    ) -> billing_pb2.ListEntriesResponse:
        return billing_pb2.ListEntriesResponse()

    async def PlaceHold(self, _request: billing_pb2.PlaceHoldRequest, _call: Call) -> billing_pb2.Hold:
        return billing_pb2.Hold()

    async def ReleaseHold(self, _request: billing_pb2.ReleaseHoldRequest, _call: Call) -> billing_pb2.Hold:
        return billing_pb2.Hold()


async def _bare(_request: billing_pb2.ListEntriesRequest, _context: Any) -> billing_pb2.ListEntriesResponse:
    return billing_pb2.ListEntriesResponse()


async def _serve(folder: Path, jwks: bytes, out: Connection) -> None:
    telemetry.tracing.start("bench", 0.1, folder.parent / "traces.jsonl")
    clock = Clock()

    async def keys() -> bytes:
        return jwks

    ours = RpcServer(folder, Surroundings("crafiq.bench", AccessTokens(keys, clock, Revocations(clock))))
    ours.offer(SERVICE, Echo())
    bare = grpc.aio.server()
    make = grpc.unary_unary_rpc_method_handler
    handler = make(
        _bare, billing_pb2.ListEntriesRequest.FromString, billing_pb2.ListEntriesResponse.SerializeToString
    )
    bare.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE.full_name, {"ListEntries": handler}),)
    )
    port = bare.add_secure_port("127.0.0.1:0", server_credentials(folder))
    await bare.start()
    out.send([await ours.start("127.0.0.1:0"), f"127.0.0.1:{port}"])
    await bare.wait_for_termination()


def _server(folder: Path, jwks: bytes, out: Connection) -> None:
    uvloop.run(_serve(folder, jwks, out))


async def _rate(call: Any, metadata: Any, calls: int) -> float:
    request = billing_pb2.ListEntriesRequest(page_size=50)

    async def client() -> None:
        for _ in range(calls // IN_FLIGHT):
            await call(request, metadata=metadata, timeout=5)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    return calls / (time.perf_counter() - started)


async def _measure(
    addresses: list[str], certificates: Certificates, token: str, rounds: int
) -> list[list[float]]:
    metadata = (
        ("authorization", f"Bearer {token}"),
        ("x-forwarded-for", "192.0.2.1"),
        ("user-agent", "bench"),
    )
    channels = [open_channel(address, certificates.folder("gateway"), "billing") for address in addresses]
    serializers = (
        billing_pb2.ListEntriesRequest.SerializeToString,
        billing_pb2.ListEntriesResponse.FromString,
    )
    calls = [channel.unary_unary(f"/{SERVICE.full_name}/ListEntries", *serializers) for channel in channels]
    for call in calls:
        await _rate(call, metadata, 800)
    rates = [[await _rate(call, metadata, 640) for call in calls] for _ in range(rounds)]
    for channel in channels:
        await channel.close()
    return rates


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    with tempfile.TemporaryDirectory() as scratch:
        certificates, tokens = Certificates(StateFolder(Path(scratch))), Tokens()
        ours_end, theirs = multiprocessing.Pipe()
        folder, jwks = certificates.folder("billing"), asyncio.run(tokens.jwks())
        server = multiprocessing.get_context("spawn").Process(target=_server, args=(folder, jwks, theirs))
        server.start()
        try:
            token = tokens.access(uuid4())
            rates = uvloop.run(_measure(ours_end.recv(), certificates, token, rounds))
        finally:
            server.terminate()
            server.join()
    ours, bare = (statistics.median(pair[i] for pair in rates) for i in (0, 1))
    ratio = statistics.median(pair[0] / pair[1] for pair in rates)
    answer = {"name": "rpc echo", "ours": round(ours), "bare": round(bare), "ratio": round(ratio, 3)}
    print(json.dumps({**answer, "goal": GOAL, "unit": "calls/s", "met": ratio >= GOAL}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
