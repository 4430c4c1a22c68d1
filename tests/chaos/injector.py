"""Kills, stops and freezes the processes of a running platform, and says when they are back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from uuid import uuid4

import asyncpg

from chassis.errors import Refusal
from deploy.local.fleet import start_ticks
from deploy.local.probes import Probe, accepts, answers
from tests.bench.storage import shelf_of
from tests.chaos.plan import LAUNCHER, PARTS, Fault, Kind
from tests.processes import family, written_down
from tests.running import Running, launch, wait_until_ready
from tests.support import eventually

BACK_SECONDS = 60.0
THERE_SECONDS = 30.0
STOPS = {"postgres": signal.SIGINT}  # "fast"; others are told to stop by SIGTERM


class Injector:
    """Does harm to one platform. `done` counts it by kind and part."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.done: Counter[tuple[Kind, str]] = Counter()
        self._starting = asyncio.Lock()

    @property
    def kills(self) -> int:
        """How many SIGKILLs were delivered to living processes."""
        return sum(number for (kind, _), number in self.done.items() if kind is Kind.KILL)

    @property
    def state(self) -> Path:
        """The platform's state folder."""
        return self.running.state

    def pid(self, part: str) -> int | None:
        """Its process, if it lives."""
        if part == LAUNCHER:
            return self.running.process.pid if self.running.process.poll() is None else None
        with suppress(OSError, ValueError):
            pid = written_down(self.state).get(part)
            return pid if pid and start_ticks(pid) is not None else None
        return None

    async def inject(self, fault: Fault) -> None:
        """Do it, to the process as soon as it is there: one that is just starting will do."""
        if fault.kind is Kind.FREEZE:
            async with self.frozen(fault.part):
                await asyncio.sleep(fault.seconds)
            return
        if fault.part == LAUNCHER:
            await self.cut()
            return
        number = signal.SIGKILL if fault.kind is Kind.KILL else STOPS.get(fault.part, signal.SIGTERM)
        pid = await self.send(fault.part, number)
        self.done[fault.kind, fault.part] += 1
        if fault.kind is Kind.KILL:
            await eventually(lambda: self.pid(fault.part) != pid, timeout=THERE_SECONDS)

    async def kill(self, part: str) -> None:
        """kill -9."""
        await self.inject(Fault(Kind.KILL, part, 0))

    async def send(self, part: str, number: signal.Signals) -> int:
        """Send a signal to its process, once there is one; answers which.

        While a whole platform starts, nothing is sent: what was never ready stops the start, as documented.
        """
        async with self._starting:
            return await self._send(part, number)

    async def _send(self, part: str, number: signal.Signals) -> int:
        until = monotonic() + THERE_SECONDS
        while monotonic() < until:
            if (pid := self.pid(part)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                    return pid
            await asyncio.sleep(0.02)
        raise AssertionError(f"{part} was not started again within {THERE_SECONDS:.0f} s")

    @asynccontextmanager
    async def frozen(self, part: str) -> AsyncIterator[None]:
        """It and its children do nothing until the block ends, as if the machine had no time for them."""
        pid = await self.send(part, signal.SIGSTOP)
        members = family({pid})
        _signal(members, signal.SIGSTOP)
        self.done[Kind.FREEZE, part] += 1
        try:
            yield
        finally:
            _signal(members, signal.SIGCONT)

    @asynccontextmanager
    async def down(self, part: str) -> AsyncIterator[None]:
        """It is not there until the block ends: whenever the launcher starts it again, it is killed again."""
        holding = asyncio.create_task(self._hold_down(part))
        try:
            await asyncio.sleep(0.1)
            yield
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding

    async def _hold_down(self, part: str) -> None:
        while True:
            if (pid := self.pid(part)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)

    async def cut(self) -> None:
        """The launcher is killed, and all others by the kernel; then somebody starts the platform again."""
        async with self._starting:
            self.running.process.kill()
            await asyncio.to_thread(self.running.process.wait)
            self.done[Kind.KILL, LAUNCHER] += 1
            process = launch(self.state)
            endpoints = await asyncio.to_thread(wait_until_ready, self.state, process)
            assert endpoints == self.running.endpoints
            self.running = replace(self.running, process=process)

    async def all_back(self) -> None:
        """Wait until every part takes requests again."""
        await asyncio.gather(*(self.is_back(part) for part in PARTS))

    async def is_back(self, part: str) -> None:
        """Wait until a part takes requests again."""

        async def there() -> bool:
            return self.pid(part) is not None and await self._probe(part)()

        await eventually(there, timeout=BACK_SECONDS)

    def _probe(self, part: str) -> Probe:
        endpoints = self.running.endpoints
        if part == "postgres":
            return lambda: _connects(endpoints["postgres"])
        if part == "gateway":
            return answers(f"{endpoints['gateway']}/healthz")
        if part == "s3":
            return lambda: _stores(self.running)
        return accepts(_port(self.state, part))


async def _stores(running: Running) -> bool:
    """SeaweedFS says that it is well a second before it knows its locks, and lets a PUT hang until then."""
    async with shelf_of(running) as shelf:
        try:
            async with asyncio.timeout(1):
                await shelf.removed(await shelf.fill(uuid4(), 1, b"back"))
        except (TimeoutError, Refusal):
            return False
    return True


def _port(state: Path, part: str) -> int:
    written = json.loads((state / "processes.json").read_text())
    return next(int(entry["port"]) for entry in written if entry["name"] == part)


def _signal(members: dict[int, int], number: signal.Signals) -> None:
    for pid, ticks in members.items():
        if start_ticks(pid) == ticks:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


async def _connects(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True
