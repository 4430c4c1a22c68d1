"""Ten minutes of people who come, make things and leave: does any process grow?

Usage: python -m tests.bench.soak [minutes]

Prints, for each process of the platform with all that it started, its memory after the first fifth of the
time and at the end, and the slope of a line through all samples between, in MiB an hour, with its standard
error. Memory is what is anonymous in the proportional share (Pss_Anon): what many processes share is counted
once; pages of files, which the kernel takes back, and PostgreSQL's shared buffers, which are as large as they
were set to be, are not. Fails if a slope is greater than `LEAK` by more than twice its error (of those with
`LIMITS`: if it is beyond its limit), or if somebody did not get what they came for; then it prints what the
gateway has to say of that.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import uvloop

from cli.api import ApiRefused
from cli.demo import example
from deploy.local import nats, seaweed
from tests.bench.servers import TRACED, quiet
from tests.e2e.conftest import Person, new_person
from tests.e2e.test_deletion import leave, receipt
from tests.processes import family, written_down
from tests.running import Running, started

MINUTES, WARM_UP = 10.0, 0.2
"""How long; the part of it at the beginning that does not count, while caches fill."""
PEOPLE, EVERY, ROUNDS = 4, 5.0, 5
"""People at a time; seconds between samples; what somebody makes before they leave."""
LEAK = 60.0
"""MiB an hour that a process may gain: caches and pools still fill after two minutes."""
LIMITS = {"nats": nats.MEMORY_LIMIT, "s3": seaweed.MEMORY_LIMIT, "gateway": "128MiB"}
"""What these may fill: with garbage before they collect it; with the buckets of callers, of whom the gateway
remembers many (tools/gateway/limits.py) and meets only new ones here."""
PHOTO = example.photo()
Samples = Mapping[str, Sequence[tuple[float, float]]]
"""Of each process: when (seconds), how much (MiB)."""


def memory(processes: Mapping[str, int]) -> dict[str, float]:
    """MiB of each process and its descendants."""
    found = {}
    for name, pid in processes.items():
        shares = [_share(member) for member in family({pid})]
        found[name] = sum(shares) / 2**20
    return found


def _share(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:  # ended meanwhile
        return 0.0
    return next(float(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss_Anon:"))


def slope(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """MiB an hour by least squares, and its standard error."""
    times, sizes = zip(*samples, strict=True)
    number, mean_time, mean_size = len(times), sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((at - mean_time) ** 2 for at in times)
    rise = sum((at - mean_time) * (size - mean_size) for at, size in samples) / spread
    rest = sum((size - mean_size - rise * (at - mean_time)) ** 2 for at, size in samples)
    return rise * 3600, math.sqrt(rest / (number - 2) / spread) * 3600


async def _live(running: Running, http: aiohttp.ClientSession, done: Counter[str]) -> None:
    """One person's life: signed up, confirmed, made and looked at some things, deleted, receipt checked."""
    person = await new_person(running, http)
    for _ in range(ROUNDS):
        await _make(person, done)
    await receipt(running, http, *await leave(person))
    done["lives"] += 1


async def _make(person: Person, done: Counter[str]) -> None:
    asset = await person.upload(PHOTO.read_bytes(), "soak.jpg", "image/jpeg")
    order = await person.order("a calm sea", inputAssets=[asset["name"]])
    result = await person.finished(order["name"])
    await person.download(result["outputAssets"][0])
    for path in ("/v1/assets", "/v1/generations", "/v1/billing/entries", "/v1/publications"):
        await person.api.get(path)
    done["things made"] += 1


async def _people(running: Running, http: aiohttp.ClientSession, done: Counter[str], until: float) -> None:
    while time.monotonic() < until:
        try:
            await _live(running, http, done)
        except (ApiRefused, AssertionError, aiohttp.ClientError, TimeoutError) as error:
            done[f"failed: {type(error).__name__} {error}"[:90]] += 1


async def _soak(running: Running, minutes: float) -> tuple[Samples, Counter[str]]:
    done, began = Counter[str](), time.monotonic()
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in written_down(running.state)}
    until = began + minutes * 60
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        people = [asyncio.create_task(_people(running, http, done, until)) for _ in range(PEOPLE)]
        while (now := time.monotonic()) < until:
            if now - began > WARM_UP * minutes * 60:
                now_running = written_down(running.state)  # one that fell has another number
                for name, size in (await asyncio.to_thread(memory, now_running)).items():
                    samples[name].append((now - began, size))
            await asyncio.sleep(EVERY)
        await asyncio.gather(*people)
    return samples, done


def _leaks(name: str, taken: Sequence[tuple[float, float]]) -> bool:
    if name in LIMITS:
        return taken[-1][1] > float(LIMITS[name].removesuffix("MiB"))
    rise, error = slope(taken)
    return rise - 2 * error > LEAK


def _faults(state: Path) -> list[str]:
    """The lines of the gateway's log about answers that are our fault."""
    lines = (state / "logs" / "gateway.log").read_text(encoding="utf-8").splitlines()
    entries = ((line, json.loads(line)) for line in lines if line.startswith("{"))
    return [line for line, entry in entries if entry["status"] >= 500]


def main(minutes: float) -> int:
    """Run and print; the exit code says whether nothing leaks and nobody failed."""
    quiet()
    scratch = tempfile.TemporaryDirectory(prefix="crafiq-soak-", ignore_cleanup_errors=True)
    with scratch as folder, started(Path(folder), traced=TRACED) as running:
        samples, done = uvloop.run(_soak(running, minutes))
        faults = _faults(Path(folder))
    print(f"{minutes:g} minutes, {PEOPLE} people at a time: {dict(done)}")
    print(f"{'process':16}{'MiB then':>10}{'MiB now':>10}{'MiB an hour':>14}{'+-':>8}")
    for name, taken in samples.items():
        rise, error = slope(taken)
        print(f"{name:16}{taken[0][1]:10.1f}{taken[-1][1]:10.1f}{rise:14.1f}{error:8.1f}")
    leaking = [name for name, taken in samples.items() if _leaks(name, taken)]
    failed = [what for what in done if what.startswith("failed")]
    for trouble in (*(f"{name} grows" for name in leaking), *failed, *faults):
        print(trouble, file=sys.stderr)
    return 0 if done["lives"] and not leaking and not failed else 1


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1]) if sys.argv[1:] else MINUTES))
