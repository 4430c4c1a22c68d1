"""What a sign-in costs most: checking passwords, against what two threads that do nothing else check."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import uvloop
from argon2 import PasswordHasher

from services.identity.adapters.passwords import Passwords
from tests.bench.rows import Row, compare, rate, within

THREADS, IN_FLIGHT, TURN_SECONDS = 2, 16, 0.6
PASSWORD = "correct horse battery staple"
EVERY = 0.005
LAG_MILLISECONDS = 5.0
LOAD = f"Argon2id 19 MiB, t=2, {len(PASSWORD)} B; in one process; {IN_FLIGHT} in flight"


def _checks(hasher: PasswordHasher, encoded: str) -> int:
    done, until = 0, time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < until:
        done += hasher.verify(encoded, PASSWORD)
    return done


async def _watch_lag(into: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(EVERY)
        into.append((time.perf_counter() - started - EVERY) * 1000)


async def _rows() -> list[Row]:
    passwords, hasher = Passwords(threads=THREADS), PasswordHasher(2, 19 * 1024, 1)
    encoded = await passwords.hash(PASSWORD, bytes(range(16)))
    lags: list[float] = []

    async def ours() -> float:
        watch = asyncio.create_task(_watch_lag(lags))
        answer = await rate(lambda: passwords.matches(encoded, PASSWORD), IN_FLIGHT, TURN_SECONDS)
        watch.cancel()
        return answer

    with ThreadPoolExecutor(THREADS) as threads:

        async def bare() -> float:
            loop, started = asyncio.get_running_loop(), time.perf_counter()
            done = await asyncio.gather(
                *(loop.run_in_executor(threads, _checks, hasher, encoded) for _ in range(THREADS))
            )
            return sum(done) / (time.perf_counter() - started)

        name = "password checks of sign-ins / two bare threads"
        checks = await compare(name, 0.8, ours, bare, load=LOAD, unit="checks/s")
    lag = statistics.quantiles(lags, n=100)[98]
    return [checks, within("loop lag meanwhile, p99", lag, LAG_MILLISECONDS, "ms", load=LOAD)]


def rows() -> list[Row]:
    """Throughput, and how long the loop made others wait."""
    return uvloop.run(_rows())
