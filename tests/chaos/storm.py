"""Every message twice, late and out of order: what was announced is announced again, under other ids.

The bus itself repeats a message only to who did not acknowledge it. Here each one comes again as if relay
and bus had lost their memories: as a new message. It is published with the operator's credential, which
may speak as anyone.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as BusError

from tests.running import Running
from tests.support import eventually

STREAMS = ("IDENTITY", "ASSETS", "GENERATION", "BILLING", "PRIVACY")
LATEST = 3.0  # seconds
ABOUT = "crafiq.*.v1.*.{account}"


@dataclass
class Storm:
    """Repeats what it hears, once, after a while left to `chance`. `sent`: (stream, number) of each copy."""

    bus: Client
    chance: Random
    sent: set[tuple[str, int]] = field(default_factory=set)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def hear(self, message: Msg) -> None:
        """Something is announced: it will be again, unless it is an echo."""
        if (message.headers or {}).get("Nats-Msg-Id") in self._ids:
            return
        self.heard.append((message.subject, message.data))
        task = asyncio.create_task(self._later(message.subject, message.data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, subject: str, data: bytes) -> None:
        await asyncio.sleep(self.chance.uniform(0, LATEST))
        await self.repeat(subject, data)

    async def repeat(self, subject: str, data: bytes) -> None:
        """Announce it as something new. While the bus is away it is tried again."""
        self._ids.add(name := str(uuid4()))

        async def stored() -> bool:
            try:
                told = await self.bus.jetstream(timeout=2).publish(
                    subject, data, headers={"Nats-Msg-Id": name}
                )
            except (BusError, OSError):
                return False
            self.sent.add((told.stream, told.seq))
            return True

        await eventually(stored, timeout=90, every=0.2)

    async def everything_again(self, *accounts: str) -> int:
        """All that was heard about these accounts, shuffled, in one go; answers how many messages."""
        await self.calm()
        about = [each for each in self.heard if each[0].rpartition(".")[2] in accounts]
        self.chance.shuffle(about)
        await asyncio.gather(*(self.repeat(*each) for each in about))
        return len(about)

    async def calm(self) -> None:
        """Wait until nothing is to be repeated any more, and everything was consumed."""
        while self._tasks:
            await asyncio.gather(*self._tasks)
        await eventually(self._consumed, timeout=60, every=0.1)

    async def _consumed(self) -> bool:
        manager = self.bus.jsm()
        for stream in STREAMS:
            for each in await manager.consumers_info(stream):
                if each.config.durable_name and (each.num_pending or each.num_ack_pending):
                    return False
        return True

    async def left_of(self, account: str) -> list[str]:
        """The messages about an account that are still there, but for our own copies, which are removed."""
        left, about = [], ABOUT.format(account=account)
        for stream in STREAMS:
            info = await self.bus.jsm().stream_info(stream, subjects_filter=about)
            for subject in info.state.subjects or {}:
                left += [
                    f"{stream}:{number} {subject}"
                    for number in await self._numbers(stream, subject)
                    if (stream, number) not in self.sent
                ]
            await self.bus.jsm().purge_stream(stream, subject=about)
        return left

    async def _numbers(self, stream: str, subject: str) -> list[int]:
        found, after = [], 1
        while True:
            try:
                message = await self.bus.jsm().get_msg(stream, after, subject=subject, next=True)
            except nats.js.errors.NotFoundError:
                return found
            found.append(int(message.seq or 0))
            after = found[-1] + 1


@asynccontextmanager
async def operator(running: Running) -> AsyncIterator[Client]:
    """The bus, as its administrator; outlives the bus's absences."""
    tls = running.state / "tls" / "nats"
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")

    async def quiet(error: Exception) -> None:
        del error  # it is away, as was wanted

    client = await nats.connect(
        running.endpoints["nats"], tls=context, error_cb=quiet,
        max_reconnect_attempts=-1, reconnect_time_wait=0.2,
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def storm(running: Running, chance: Random) -> AsyncIterator[Storm]:
    """From now on everything that is announced comes twice."""
    async with operator(running) as bus:
        blowing = Storm(bus, chance)
        listening = await bus.subscribe("crafiq.>", cb=blowing.hear)
        try:
            yield blowing
        finally:
            if not bus.is_closed:
                await listening.unsubscribe()
