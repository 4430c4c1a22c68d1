"""Generation, running on real Postgres, JetStream and the stand-in vendor, and people who use it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc.aio
import nats
from crafiq.generation.v1 import generation_pb2, generation_pb2_grpc
from google.protobuf import json_format

from chassis import events
from chassis.rpc import refusal_from
from chassis.rpc.client import PeerChannel, open_channel
from chassis.service import Service
from deploy.local.infra import Infra
from services.generation.__main__ import compose
from services.generation.domain import Row
from services.generation.settings import Settings
from tests.integration.generation.peers import Peers
from tests.integration.generation.vendor import KEY, OpenAISandbox
from tests.personal import used
from tests.support import eventually, running

REQUEST_KEY = secrets.token_hex(32)
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")
# Quick enough that a test sees what takes a quarter of an hour in earnest; long enough that a machine that
# stands still for seconds gives nobody up who is at work.
QUICK = {"openai_seconds": 15.0, "unknown": 3.0, "lease": 12.0, "retry": 0.1}


@dataclass(frozen=True)
class Event:
    """A server-sent event as a client parses it."""

    id: int
    event: str
    data: dict[str, Any]


def parse(text: str) -> list[Event]:
    """The events in a piece of a stream; comments are passed over."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if fields:
            found.append(Event(int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
    return found


class Person:
    """Somebody with an account, signed in, at the gateway's side of the service."""

    def __init__(self, world: World, channel: Any) -> None:
        self.id = uuid4()
        self.session = uuid4()
        self.account = f"accounts/{self.id}"
        self.world = world
        self.stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
        self.metadata = (("authorization", f"Bearer {world.peers.tokens.access(self.id, self.session)}"),)

    def become(self, other: Person) -> None:
        """Be somebody else, at this side of the service: for a process that came after another."""
        self.id, self.session, self.account = other.id, other.session, other.account
        self.metadata = other.metadata

    async def call(self, rpc: str, request: Any) -> Any:
        """Call an RPC; raises the refusal."""
        try:
            return await getattr(self.stub, rpc)(request, metadata=self.metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from None

    async def order(self, prompt: str, **more: Any) -> generation_pb2.Generation:
        """A generation from words, or from `input_assets` and words."""
        task = generation_pb2.IMAGE_TO_IMAGE if more.get("input_assets") else generation_pb2.TEXT_TO_IMAGE
        parameters = more.pop("parameters", {"quality": "low"})
        more = {"task": task, "request_id": str(uuid4()), "prompt": used(prompt, "prompt"), **more}
        request = generation_pb2.CreateGenerationRequest(**more)
        json_format.ParseDict(parameters, request.parameters)
        made: generation_pb2.Generation = await self.call("CreateGeneration", request)
        return made

    async def get(self, name: str) -> generation_pb2.Generation:
        """A generation as it is now."""
        found: generation_pb2.Generation = await self.call(
            "GetGeneration", generation_pb2.GetGenerationRequest(name=name)
        )
        return found

    async def ended(self, name: str, timeout: float = 30) -> generation_pb2.Generation:
        """The generation once it has ended."""

        async def over() -> generation_pb2.Generation | None:
            found = await self.get(name)
            return found if generation_pb2.State.Name(found.state) in ENDS else None

        return await eventually(over, timeout=timeout)  # type: ignore[return-value]  # never None

    async def egress(self, name: str) -> list[generation_pb2.Egress]:
        """Who received what."""
        answer = await self.call("ListEgress", generation_pb2.ListEgressRequest(name=name))
        return list(answer.egress)

    def watching(self, name: str, *, last: str = "", field: str = "") -> Any:
        """The open stream: `last` as the header, `field` as the field of that name."""
        metadata = (*self.metadata, ("last-event-id", last)) if last else self.metadata
        request = generation_pb2.WatchGenerationRequest(name=name, last_event_id=field)
        return self.stub.WatchGeneration(request, metadata=metadata, timeout=45)

    async def watch(self, name: str, *, last: str = "", field: str = "") -> list[Event]:
        """Every event until the stream ends; raises the refusal."""
        try:
            parts = [body.data async for body in self.watching(name, last=last, field=field)]
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from None
        return parse(b"".join(parts).decode())


class World:
    """A service with a database of its own. `peers` and `openai` are what it talks to."""

    def __init__(self, infra: Infra, peers: Peers, openai: OpenAISandbox, database: str) -> None:
        self.infra, self.peers, self.openai, self.database = infra, peers, openai, database
        self.address = ""
        self.service: Service | None = None

    def settings(self, **more: Any) -> Settings:
        """As the launcher would give them, with quick times."""
        given = {
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "tls_dir": self.infra.tls_dir("generation"),
            "nats_url": self.infra.nats.url,
            "peers": self.peers.addresses,
            "database_url": self.database,
            "nats_password": self.infra.nats.password("generation"),
            "request_key": REQUEST_KEY,
            "openai_url": self.openai.url,
            "openai_sandbox": True,
            "openai_api_key": KEY,
            **QUICK,
            **more,
        }
        return Settings(**given)

    @asynccontextmanager
    async def serving(self, **more: Any) -> AsyncIterator[Service]:
        """The service in this process."""
        settings = self.settings(**more)
        jwks = self.peers.tokens.jwks
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(
                Service("generation", settings, metadata=Row.metadata, jwks=jwks)
            )
            await stack.enter_async_context(compose(service, settings))
            self.address = await stack.enter_async_context(running(service))
            self.service = service
            yield service

    @asynccontextmanager
    async def person(self) -> AsyncIterator[Person]:
        """Somebody new, whom this service knows already."""
        async with self.channel("gateway") as channel:
            person = Person(self, channel)
            await self.sql("INSERT INTO subjects (account, since) VALUES ($1, now())", person.id)
            yield person

    @asynccontextmanager
    async def channel(self, caller: str) -> AsyncIterator[Any]:
        """The service, called by the holder of that certificate."""
        channel = PeerChannel(open_channel(self.address, self.infra.tls_dir(caller), "generation"))
        try:
            yield channel
        finally:
            await channel.close()

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the database from outside."""
        connection = await asyncpg.connect(self.database)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def publish(self, service: str, event: Any) -> None:
        """Announce something as another service does."""
        client = await events.connect(
            self.infra.nats.url, service, self.infra.nats.password(service), self.infra.tls_dir(service)
        )
        try:
            headers = {"Nats-Msg-Id": str(uuid4())}
            await client.jetstream().publish(
                events.subject_of(event), event.SerializeToString(), headers=headers
            )
        finally:
            await client.drain()

    async def announced(self, account: UUID) -> list[tuple[str, bytes]]:
        """What generation has announced about somebody: (event, body), in order."""
        client = await nats.connect(self.infra.nats.admin_url, tls=self.infra.nats.tls, allow_reconnect=False)
        try:
            subject = f"crafiq.generation.v1.*.{account}"
            pull = await client.jetstream().pull_subscribe(subject, stream="GENERATION")
            there, found = (await pull.consumer_info()).num_pending or 0, []
            while len(found) < there:
                messages = await pull.fetch(there - len(found), timeout=10)
                found += [(message.subject.split(".")[3], message.data) for message in messages]
            return found
        finally:
            await client.close()

    async def heard(self, person: Person, *names: str) -> list[tuple[str, bytes]]:
        """What was announced about somebody, once it is these events."""

        async def there() -> list[tuple[str, bytes]] | None:
            found = await self.announced(person.id)
            assert [name for name, _ in found] == list(names)
            return found

        return await eventually(there, timeout=20) or []


@asynccontextmanager
async def world(infra: Infra, peers: Peers, openai: OpenAISandbox) -> AsyncIterator[World]:
    """A database for one module of tests."""
    name = f"generation_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} OWNER generation")
    url = re.sub(r"/generation\?", f"/{name}?", infra.postgres.dsn("generation"), count=1)
    try:
        yield World(infra, peers, openai, url)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
