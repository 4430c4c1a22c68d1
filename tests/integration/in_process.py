"""A service in the test's own process, on real servers, and its neighbours played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
from google.protobuf.message import Message
from nats.aio.client import Client
from sqlalchemy import MetaData

from chassis import events
from chassis.jobs import Job
from chassis.service import Service
from chassis.settings import ServiceSettings
from deploy.local.infra import Infra
from tests.support import FakeClock, Tokens, calling, running


def settings_for(infra: Infra, name: str, **peers: str) -> dict[str, Any]:
    """The settings of a service on `infra`, free ports; `peers` are addresses by name."""
    return {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "tls_dir": infra.tls_dir(name),
        "nats_url": infra.nats.url,
        "nats_password": infra.nats.password(name),
        "database_url": infra.postgres.dsn(name),
        "request_key": "5c" * 32,
        "peers": peers,
        **ledger_of(infra, name),
    }


def ledger_of(infra: Infra, name: str) -> dict[str, str]:
    """Where a service finds the ledger of tombstones, and with which keys."""
    keys = infra.s3.credentials_of(name)
    url = infra.s3.url
    return {"ledger_url": url, "ledger_access_key": keys.access, "ledger_secret_key": keys.secret}


@dataclass
class Neighbours:
    """Others as the service knows them: people behind the gateway, services and their events."""

    infra: Infra
    service: Service
    address: str
    tokens: Tokens
    _stack: AsyncExitStack
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    _buses: dict[str, Client] = field(default_factory=dict)

    async def channel(self, caller: str = "gateway") -> grpc.aio.Channel:
        """A channel to the service with the certificate of `caller`."""
        if caller not in self._channels:
            opened = calling(self.address, self.infra.tls_dir(caller), to=self.service.name)
            self._channels[caller] = await self._stack.enter_async_context(opened)
        return self._channels[caller]

    def signed_in(self, account: UUID) -> tuple[tuple[str, str], ...]:
        """The metadata of a person's call."""
        return self.tokens.metadata(account)

    async def announce(self, source: str, event: Message, message_id: str | None = None) -> str:
        """Publish an event as the service `source`; answers the message's id."""
        if source not in self._buses:
            password, tls_dir = self.infra.nats.password(source), self.infra.tls_dir(source)
            bus = await events.connect(self.infra.nats.url, source, password, tls_dir)
            self._stack.push_async_callback(bus.drain)
            self._buses[source] = bus
        message_id = message_id or str(uuid4())
        stream = self._buses[source].jetstream()
        body = event.SerializeToString()
        await stream.publish(events.subject_of(event), body, headers={"Nats-Msg-Id": message_id})
        return message_id


class Unhurried(Service):
    """A service that does nothing because time passes: tests move its clock and call its jobs themselves.

    A job of its own would come between a test's steps, as often as the test moves the clock far enough.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.jobs: dict[str, Job] = {}

    def every(self, job: Job) -> None:
        """Nobody runs it here; e2e/test_local_runtime sees that each runs."""
        self.jobs[job.name] = job


@asynccontextmanager
async def in_process(
    infra: Infra,
    settings: ServiceSettings,
    name: str,
    metadata: MetaData,
    compose: Callable[[Service], Awaitable[None]],
) -> AsyncIterator[Neighbours]:
    """Run a service with a clock that stands still until a test moves it."""
    clock = FakeClock()
    tokens = Tokens(clock)
    async with AsyncExitStack() as stack:
        service = Unhurried(name, settings, metadata=metadata, clock=clock, jwks=tokens.jwks)
        await stack.enter_async_context(service)
        await compose(service)
        address = await stack.enter_async_context(running(service))
        yield Neighbours(infra, service, address, tokens, stack)
