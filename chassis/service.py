"""A service: everything it runs on, in one place, started and drained in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import grpc.aio
import uvloop
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from cryptography import x509
from google.protobuf.descriptor import ServiceDescriptor
from nats.aio.client import Client
from prometheus_client import Gauge, start_http_server
from sqlalchemy import MetaData

from chassis import events, jobs, migrate, retry, telemetry
from chassis.clock import Clock
from chassis.consumers import Consumers, Subscription
from chassis.db import Database
from chassis.relay import Relay
from chassis.revoked import RevokedSessions
from chassis.rpc.client import Peers
from chassis.rpc.server import RpcServer
from chassis.rpc.tokens import AccessTokens, Revocations
from chassis.rpc.wrap import Surroundings
from chassis.settings import ServiceSettings

LOG = logging.getLogger("crafiq.service")
ENDS = Gauge("crafiq_certificate_ends_timestamp_seconds", "When the certificate that was read at start ends.")
GRACE = 10.0  # seconds that calls and workers in hand may take on drain
Worker = Callable[[], Coroutine[Any, Any, None]]


class Service:
    """A running service, used as `async with Service("billing", settings, metadata=...) as service`.

    Entering migrates the database and connects it and the bus; `offer`, `listen`, `every` and
    `background` say what the service does; `run` serves until SIGTERM or SIGINT and drains.

    `jwks` gives the keys of access tokens as JSON bytes; without it identity is asked. The
    migrations are those of the package `services.<name>`; `metadata` has its tables, for what is
    derived from them.
    """

    db: Database
    bus: Client
    address: str
    metrics_port: int

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
        self.clock, self.new_id = clock or Clock(), new_id
        self.revocations = Revocations(self.clock)
        self.tokens = AccessTokens(jwks or self._ask_identity, self.clock, self.revocations)
        self._peers = Peers(settings.peers, settings.tls_dir)
        self._first: list[Callable[[], Awaitable[object]]] = []
        self._workers: list[Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []

    async def __aenter__(self) -> Self:
        logging.getLogger().setLevel(self.settings.log_level)
        async with AsyncExitStack() as stack:
            if self.settings.trace_file is not None:
                telemetry.tracing.start(self.name, self.settings.trace_ratio, self.settings.trace_file)
                stack.callback(telemetry.tracing.stop)
            self.db = await stack.enter_async_context(await self._migrated())
            password, tls_dir = self.settings.nats_password.get_secret_value(), self.settings.tls_dir
            self.bus = await events.connect(self.settings.nats_url, self.name, password, tls_dir)
            stack.push_async_callback(events.leave, self.bus)
            stack.push_async_callback(self._peers.close)
            self._relay = Relay(self.db, self.bus)
            around = Surroundings(f"crafiq.{self.name}", self.tokens, self.new_id, self.db.erased)
            self._server = RpcServer(tls_dir, around)
            self.health = self._server.health
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _migrated(self) -> AbstractAsyncContextManager[Database]:
        url = self.settings.database_url.get_secret_value()
        await retry.connecting(lambda: migrate.upgrade(url, self._migrations()))
        key = bytes.fromhex(self.settings.request_key.get_secret_value())
        return Database.open(url, clock=self.clock, new_id=self.new_id, request_key=key)

    def _migrations(self) -> Path:
        found = find_spec(f"services.{self.name}")
        if found is None or not found.submodule_search_locations:
            raise LookupError(f"There is no package services.{self.name}.")
        return Path(found.submodule_search_locations[0]) / "migrations"

    def offer(self, descriptor: ServiceDescriptor, handler: object) -> None:
        """Serve a gRPC service; refuses at start what does not match its descriptor.

        Raises TypeError for a missing or extra method, wrong types, or an RPC without `access`.
        """
        self._server.offer(descriptor, handler)

    def listen(self, subscriptions: Sequence[Subscription]) -> None:
        """Consume events."""
        self._subscriptions.extend(subscriptions)

    def first(self, step: Callable[[], Awaitable[object]]) -> None:
        """Do this before anything is served, heard or done; if it raises, the service does not start."""
        self._first.append(step)

    def every(self, job: jobs.Job) -> None:
        """Run a job when time passes, in one process at a time."""
        self._workers.append(lambda: jobs.keep_running(job, self.db))

    def background(self, worker: Worker) -> None:
        """Keep a worker running; restarted with a pause if it fails, cancelled on drain."""
        self._workers.append(worker)

    def peer(self, name: str) -> grpc.aio.Channel:
        """The channel to another service; every call on it has a deadline (5 s if none is given)."""
        return self._peers[name]

    async def start(self) -> str:
        """Start workers, metrics and server; answers the address. Raises OSError if a port is taken."""
        for step in self._first:
            await step()
        revoked = RevokedSessions(self.bus, self.db, self.revocations)
        consumers = Consumers(self.name, self.db, self.bus, self._subscriptions)
        for worker in (self._relay.run, revoked.run, consumers.run, *self._workers):
            self._tasks.append(asyncio.create_task(_kept(worker)))
        self._serve_metrics()
        self.address = await self._server.start(self.settings.listen)
        LOG.info("%s serves on %s", self.name, self.address)
        return self.address

    async def drain(self, grace: float = GRACE) -> None:
        """Refuse new calls, finish those in hand, end the workers, relay what they announced."""
        await self._server.drain(grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        try:
            await asyncio.wait_for(self._relay.flush(), grace)
        except Exception:
            LOG.exception("what is left in the outbox is relayed after the next start")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            await self.start()
            await stop.wait()
            LOG.info("%s drains", self.name)
            await self.drain()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _serve_metrics(self) -> None:
        host, _, port = self.settings.metrics_listen.rpartition(":")
        crt, key, ca = (str(self.settings.tls_dir / name) for name in ("tls.crt", "tls.key", "ca.crt"))
        ENDS.set(x509.load_pem_x509_certificate(Path(crt).read_bytes()).not_valid_after_utc.timestamp())
        server, thread = start_http_server(
            int(port), host, certfile=crt, keyfile=key, client_cafile=ca, client_auth_required=True
        )
        self.metrics_port = server.server_port
        self._stack.callback(thread.join)
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)

    async def _ask_identity(self) -> bytes:
        identity = identity_pb2_grpc.IdentityServiceStub(self.peer("identity"))
        return bytes((await identity.GetJwks(identity_pb2.GetJwksRequest(), timeout=2)).data)


async def _kept(worker: Worker) -> None:
    while True:
        try:
            await worker()
        except Exception:
            LOG.exception("a worker failed and is started again")
        await asyncio.sleep(1)


def main(start: Worker) -> None:
    """Run a service's composition root on uvloop; exits with 1 and a sentence if it can't start."""
    telemetry.log_to_stderr("INFO")

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(telemetry.log_stray)
        await start()

    try:
        uvloop.run(guarded())
    except (OSError, ValueError, LookupError, TypeError) as error:
        # What is wrong with settings, ports and wiring; it holds no values of people.
        if not isinstance(error, OSError):  # a port or a file explains itself; a fault of ours has a place
            LOG.critical("this service can't start, or not go on", exc_info=error)
        raise SystemExit(str(error)) from None
