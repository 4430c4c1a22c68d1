"""The whole platform as `make up` starts it: how soon, how large, its gateway; then erasures and bytes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
from crafiq.billing.v1 import billing_pb2, billing_pb2_grpc

from tests.bench import erasure, storage
from tests.bench.rows import Row, within
from tests.bench.servers import TRACED
from tests.e2e.conftest import Person, new_person
from tests.e2e.matrix import Doors
from tests.processes import family
from tests.running import Running, started

CALLS, WARM_UP = 400, 50
READY_SECONDS, MEBIBYTES, GATEWAY_MILLISECONDS = 8.0, 1536.0, 0.6


async def _milliseconds(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


async def _both(person: Person, doors: Doors) -> tuple[float, float]:
    """The p50 of one and the same call through the gateway and past it, one at a time, in turns."""
    stub = billing_pb2_grpc.BillingServiceStub(doors.channel("billing", "gateway"))
    metadata = (("authorization", f"Bearer {person.access_token}"), ("x-forwarded-for", "192.0.2.1"))

    def direct() -> Any:
        return stub.GetBalance(billing_pb2.GetBalanceRequest(), metadata=metadata, timeout=5)

    pairs = [
        (await _milliseconds(person.balance), await _milliseconds(direct)) for _ in range(CALLS + WARM_UP)
    ][WARM_UP:]
    through, past = (statistics.median(side) for side in zip(*pairs, strict=True))
    return through, past


async def _gateway(running: Running, person: Person) -> Row:
    doors = Doors(running.state)
    through, past = await _both(person, doors)
    await doors.close()
    load = (
        f"GET balance with JWT, p50 {through:.2f} ms by REST (HTTP to Envoy, mutual TLS behind it),"
        f" {past:.2f} ms by gRPC, mutual TLS; one at a time"
    )
    return within("gateway adds, p50", through - past, GATEWAY_MILLISECONDS, "ms", load=load)


def _memory(pid: int) -> list[Row]:
    """Twice: a page that many processes share counts in each of them (RSS), or in parts (PSS)."""
    found = [psutil.Process(member).memory_full_info() for member in family({pid})]
    load = f"{len(found)} processes, nobody has called yet"
    return [
        within("memory at rest, sum of RSS", sum(i.rss for i in found) / 2**20, MEBIBYTES, "MiB", load=load),
        within("memory at rest, sum of PSS", sum(i.pss for i in found) / 2**20, MEBIBYTES, "MiB", load=load),
    ]


async def _in_use(running: Running) -> list[Row]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        person = await new_person(running, http)
        gateway = await _gateway(running, person)
        erasures = await erasure.rows(running)
        # Last: the disk still writes for a while what they leave behind, and whoever commits waits for it.
        return [gateway, *erasures, *await storage.rows(running, person)]


def rows() -> list[Row]:
    """Starts a platform of its own on an empty state folder, and stops it."""
    with tempfile.TemporaryDirectory(prefix="crafiq-bench-", ignore_cleanup_errors=True) as folder:
        began = time.monotonic()
        with started(Path(folder), traced=TRACED) as running:
            ready = time.monotonic() - began
            load = "first start, empty state folder"
            at_rest = [
                within("start to ready", ready, READY_SECONDS, "s", load=load),
                *_memory(running.process.pid),
            ]
            return at_rest + uvloop.run(_in_use(running))
