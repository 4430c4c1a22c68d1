"""What tests of every service need."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from joserfc.jwk import ECKey, KeySet
from nats.aio.client import Client

from chassis.clock import Clock
from chassis.events import stream_of
from chassis.rpc import Call
from chassis.rpc.client import PeerChannel, open_channel
from chassis.rpc.contract import messages
from chassis.rpc.tokens import mint
from chassis.service import Service
from deploy.local.ports import LOWEST
from tests.personal import used

T = TypeVar("T")


async def eventually(
    check: Callable[[], T | Awaitable[T]], *, timeout: float = 20.0, every: float = 0.02
) -> T:
    """Call `check` until it answers something true without AssertionError, for `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        fault: AssertionError | None = None
        try:
            answer = check()
            found = cast(T, await answer if inspect.isawaitable(answer) else answer)
            if found:
                return found
        except AssertionError as error:
            fault = error
        if time.monotonic() > until:
            raise fault or AssertionError(f"still not true after {timeout} s: {check}")
        await asyncio.sleep(every)


@asynccontextmanager
async def standing_still(every: float = 0.05) -> AsyncIterator[Callable[[], float]]:
    """For how many seconds this process got no turn since then: no bound is meant for that."""
    lost = 0.0

    async def watch() -> None:
        nonlocal lost
        while True:
            before = time.monotonic()
            await asyncio.sleep(every)
            lost += max(0.0, time.monotonic() - before - 2 * every)

    watching = asyncio.create_task(watch())
    try:
        yield lambda: lost
    finally:
        watching.cancel()


class FakeClock(Clock):
    """A clock that tests move: `clock.forward(timedelta(days=1))`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time it was set to."""
        return self._now

    def forward(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by


class Tokens:
    """Mints access tokens as identity would; `jwks` is what the services that verify them fetch."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self.key = ECKey.generate_key("P-256", {"kid": "test", "alg": "ES256", "use": "sig"}, private=True)

    def access(
        self,
        account: UUID,
        session: UUID | None = None,
        *,
        lives: timedelta = timedelta(minutes=5),
        roles: tuple[str, ...] = (),
    ) -> str:
        """A token for an account, signed now."""
        now = self._clock.now()
        token = mint(self.key, account, session or uuid4(), now=now, expires_at=now + lives, roles=roles)
        used(token.rpartition(".")[2], "access token")
        return token

    def metadata(self, account: UUID, **extra: str) -> tuple[tuple[str, str], ...]:
        """Request metadata of somebody who is signed in, as the gateway sends it."""
        return (("authorization", f"Bearer {self.access(account)}"), *extra.items())

    async def jwks(self) -> bytes:
        """The public keys as JSON."""
        return json.dumps(KeySet([self.key]).as_dict(private=False)).encode()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel and deploy/local/ports.py give to others."""
    ports: list[int] = []
    for port in SystemRandom().sample(range(10_000, LOWEST), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("No free ports")


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def signing_key(folder: Path, kid: str) -> Path:
    """A fresh ES256 key as a service reads it: `<kid>.pem` in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{kid}.pem"
    path.write_bytes(ECKey.generate_key("P-256", private=True).as_pem(private=True))
    return path


class Announced:
    """What the bus holds of an account, read from the stream as an operator could."""

    def __init__(self, bus: Client) -> None:
        self._bus = bus

    async def __call__(self, event: type[Message], account: str, number: int = 1) -> list[Any]:
        """The events of a kind about an account, in order, once there are `number` of them."""
        name = event.DESCRIPTOR.full_name
        subject = f"{name}.{account.removeprefix('accounts/')}"

        async def found() -> list[Any]:
            stream = stream_of(name.split(".")[1])
            subscription = await self._bus.jetstream().pull_subscribe(subject, stream=stream)
            try:
                messages = await subscription.fetch(100, timeout=0.2)
            except TimeoutError:
                messages = []
            await subscription.unsubscribe()
            return [event.FromString(each.data) for each in messages]

        async def enough() -> list[Any]:
            events = await found()
            return events if len(events) >= number else []

        return await eventually(enough, timeout=20)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[str]:
    """Serve an entered service in this process until the block ends; yields its address."""
    address = await service.start()
    try:
        yield address
    finally:
        await service.drain(grace=1)


@asynccontextmanager
async def calling(address: str, tls_dir: Path, *, to: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service `to`, calling with the certificate in `tls_dir`."""
    channel: Any = PeerChannel(open_channel(address, tls_dir, to))
    try:
        yield channel
    finally:
        await channel.close()


def complete(descriptor: ServiceDescriptor, handler: type) -> type:
    """A handler class of a whole service, of which only what `handler` has is meant."""

    def missing(method: MethodDescriptor) -> Any:
        async def refuse(self: Any, request: Any, call: Call) -> Any:
            raise NotImplementedError

        async def refuse_stream(self: Any, request: Any, call: Call) -> Any:
            raise NotImplementedError
            yield

        asked, answer = messages(method)
        made: Any = refuse_stream if method.server_streaming else refuse
        made.__annotations__ = {
            "request": AsyncIterator[asked] if method.client_streaming else asked,  # type: ignore[valid-type]  # at run time
            "call": Call,
            "return": AsyncIterator[answer] if method.server_streaming else answer,  # type: ignore[valid-type]  # at run time
        }
        return made

    rest = {m.name: missing(m) for m in descriptor.methods if not hasattr(handler, m.name)}
    return type(handler.__name__, (handler,), rest)
