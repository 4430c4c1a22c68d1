"""What a sign-in costs beside its password check: whole sign-ins against two threads that only check.

They check with argon2-cffi, which is what people take for the limit, and with the library that identity uses.
Identity is served in a process of its own, in which the lag of its loop is watched meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
from argon2 import PasswordHasher
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from nacl.pwhash import argon2id

from chassis.clock import Clock
from chassis.rpc.client import open_channel
from chassis.service import Service
from deploy.local.infra import SERVICES, Infra
from services.identity.__main__ import compose
from services.identity.adapters.signing import SigningKeys
from services.identity.domain import Row as Tables
from services.identity.settings import Settings
from tests.bench.leavers import Leaver, copy
from tests.bench.rows import Row, compare, rate, within
from tests.bench.servers import TRACED, beside, until_left
from tests.integration.in_process import settings_for
from tests.support import running, signing_key

THREADS, IN_FLIGHT, PEOPLE, TURN_SECONDS = 2, 16, 512, 0.6
PASSWORD = "correct horse battery staple"
EVERY = 0.005
Turns = list[tuple[float, float]]
Check = Callable[[], bool]
LAG_MILLISECONDS = 5.0


async def _serve(told: dict[str, Any], folder: Path, out: Any) -> None:
    settings = Settings(**told)
    keys = SigningKeys(folder, Clock())
    async with Service("identity", settings, metadata=Tables.metadata, jwks=keys.jwks) as service:
        compose(service, settings, keys)
        async with running(service) as address:
            out.send(address)
            lags: list[tuple[float, float]] = []
            watch = asyncio.create_task(_watch_lag(lags))
            turns: Turns = await asyncio.to_thread(out.recv)
            watch.cancel()
            out.send([lag for at, lag in lags if any(begun < at < ended for begun, ended in turns)])
            await until_left(out)


async def _watch_lag(into: list[tuple[float, float]]) -> None:
    """When, and how many milliseconds late this was."""
    while True:
        started = time.time()
        await asyncio.sleep(EVERY)
        into.append((time.time(), (time.time() - started - EVERY) * 1000))


def _told(infra: Infra, folder: Path) -> dict[str, Any]:
    """What the launcher would tell identity; nobody else is there, and nobody is asked."""
    signing_key(folder, "bench")
    nowhere = dict.fromkeys(SERVICES, "127.0.0.1:1")
    return {
        **settings_for(infra, "identity", **nowhere),
        "smtp_host": "127.0.0.1",
        "smtp_port": 1,
        "token_key": secrets.token_hex(32),
        "pepper_dir": folder,
        "trace_file": folder / "traces.jsonl",
        "trace_ratio": TRACED,
    }


async def _people(infra: Infra, encoded: str) -> list[str]:
    """Addresses of people who all have the same password: what is checked takes the same time."""
    leavers = [Leaver(password_hash=encoded) for _ in range(PEOPLE)]
    connection = await asyncpg.connect(infra.postgres.dsn("identity"))
    for leaver in leavers:
        await copy(connection, "identity", leaver)
    await connection.close()
    return [leaver.email for leaver in leavers]


def _checks(check: Check) -> int:
    done, until = 0, time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < until:
        done += check()
    return done


async def _compared(
    stub: identity_pb2_grpc.IdentityServiceStub, people: list[str], by: str, check: Check, turns: Turns
) -> Row:
    """The rates; notes from when to when people signed in."""

    async def sign_in() -> None:
        request = identity_pb2.CreateSessionRequest(email=secrets.choice(people), password=PASSWORD)
        # Each from a network of its own: guesses are counted by network.
        address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.1"
        await stub.CreateSession(request, metadata=(("x-forwarded-for", address),), timeout=10)

    async def ours() -> float:
        begun = time.time()
        rated = await rate(sign_in, IN_FLIGHT, TURN_SECONDS)
        turns.append((begun, time.time()))
        return rated

    with ThreadPoolExecutor(THREADS) as threads:

        async def bare() -> float:
            loop, started = asyncio.get_running_loop(), time.perf_counter()
            done = await asyncio.gather(
                *(loop.run_in_executor(threads, _checks, check) for _ in range(THREADS))
            )
            return sum(done) / (time.perf_counter() - started)

        load = f"Argon2id 19 MiB, t=2, {len(PASSWORD)} B; gRPC, mutual TLS; {IN_FLIGHT} in flight"
        name = f"sign-ins / two threads that only check passwords with {by}"
        return await compare(name, 0.8, ours, bare, load=load, unit="1/s")


async def rows(infra: Infra) -> list[Row]:
    """Throughput, and how long identity's loop made others wait."""
    hasher, folder = PasswordHasher(2, 19 * 1024, 1), infra.state.folder("bench")
    encoded = hasher.hash(PASSWORD)
    checks: dict[str, Check] = {
        "argon2-cffi": lambda: hasher.verify(encoded, PASSWORD),
        "libsodium": lambda: argon2id.verify(encoded.encode(), PASSWORD.encode()),
    }
    with beside(_serve, _told(infra, folder), folder) as identity:
        address = await asyncio.to_thread(identity.recv)
        people = await _people(infra, encoded)
        channel = open_channel(address, infra.tls_dir("gateway"), "identity")
        stub, turns = identity_pb2_grpc.IdentityServiceStub(channel), Turns()
        compared = [await _compared(stub, people, by, check, turns) for by, check in checks.items()]
        await channel.close()
        identity.send(turns)
        lags = await asyncio.to_thread(identity.recv)
    late = statistics.quantiles(lags, n=100)[98]
    return [*compared, within("loop lag meanwhile, p99", late, LAG_MILLISECONDS, "ms", load=compared[0].load)]
