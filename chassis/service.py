"""A service: everything it runs on, in one place, started and drained in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Self
from uuid import UUID, uuid4

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from sqlalchemy import MetaData

from chassis.clock import Clock
from chassis.rpc.tokens import Revocations
from chassis.settings import ServiceSettings


class Service:
    """A running service, used as `async with Service("billing", settings, metadata=...) as service`.

    Entering connects database and bus and migrates; `offer`, `listen`, `every` and `background`
    say what it does; `run` serves until SIGTERM or SIGINT and drains.

    `jwks` gives the keys of access tokens as JSON bytes; without it identity is asked.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        metadata: MetaData,
        clock: Clock | None = None,
        new_id: Callable[[], UUID] = uuid4,
        jwks: Callable[[], Awaitable[bytes]] | None = None,
    ) -> None:
        self.name, self.settings, self.metadata = name, settings, metadata
        self.clock = clock or Clock()
        self.new_id = new_id
        self.revocations = Revocations(self.clock)

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    def offer(self, descriptor: ServiceDescriptor, handler: object) -> None:
        """Serve a gRPC service; refuses at start what does not match its descriptor.

        Raises TypeError for a missing or extra method, wrong types, or an RPC without `access`.
        """
        raise NotImplementedError

    def listen(self, subscriptions: Sequence[Any]) -> None:
        """Consume events: a list of `chassis.consumers.Subscription`."""
        raise NotImplementedError

    def every(self, job: Any) -> None:
        """Run a `chassis.jobs.Job` when time passes, in one process at a time."""
        raise NotImplementedError

    def background(self, worker: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Keep a worker running; restarted with a pause if it fails, cancelled on drain."""
        raise NotImplementedError

    def peer(self, name: str) -> grpc.aio.Channel:
        """The channel to another service; every call on it has a deadline (5 s if none is given)."""
        raise NotImplementedError

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain: refuse new calls, finish those in hand (10 s), relay."""
        raise NotImplementedError


def main(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service's composition root on uvloop."""
    raise NotImplementedError
