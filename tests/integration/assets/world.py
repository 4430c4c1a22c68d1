"""Assets, running on real Postgres, JetStream and S3, and people who use it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import grpc.aio
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc
from crafiq.identity.v1 import events_pb2 as identity
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from minio import Minio

from chassis import events
from chassis.clock import Clock
from chassis.db import Database
from chassis.rpc import refusal_from
from chassis.rpc.client import PeerChannel, open_channel
from chassis.service import Service
from deploy.local.infra import Infra
from services.assets.__main__ import compose
from services.assets.domain import Row
from services.assets.domain.shelves import key_at, path_of, shelf_of
from services.assets.handler import Desk
from services.assets.settings import Settings
from tests.integration.in_process import Unhurried
from tests.personal import used
from tests.support import Tokens, eventually, running

ROOT = Path(__file__).resolve().parents[3]
REQUEST_KEY = secrets.token_hex(32)
QUARANTINE, LIBRARY, PUBLIC = "crafiq-quarantine", "crafiq-library", "crafiq-public"
CHUNK = 262_144


def digest(content: bytes) -> str:
    """SHA-256 as the API has it."""
    return hashlib.sha256(content).hexdigest()


class Person:
    """Somebody with an account, signed in, at the gateway's side of the service."""

    def __init__(self, world: World, account: UUID | None = None) -> None:
        self.id = account or uuid4()
        self.account = f"accounts/{self.id}"
        self.filename = f"holiday-{secrets.token_hex(4)}.jpg"
        self.world = world

    async def call(self, rpc: str, request: Any) -> Any:
        """Call an RPC; raises the refusal."""
        for words in (getattr(request, "title", ""), getattr(getattr(request, "asset", None), "title", "")):
            used(words, "title")
        return await self.world.call(rpc, request, metadata=self.world.tokens.metadata(self.id))

    def wish(self, content: bytes, content_type: str, **more: Any) -> assets_pb2.CreateUploadRequest:
        """What is sent to open an upload."""
        given = {
            "filename": self.filename,
            "content_type": content_type,
            "size_bytes": len(content),
            "sha256": digest(content),
            "request_id": str(uuid4()),
            **more,
        }
        used(given["filename"], "filename")
        return assets_pb2.CreateUploadRequest(**given)

    async def open(self, content: bytes, content_type: str = "image/jpeg", **more: Any) -> assets_pb2.Upload:
        """An open upload for these bytes."""
        upload: assets_pb2.Upload = await self.call("CreateUpload", self.wish(content, content_type, **more))
        used(upload.url, "presigned URL")
        return upload

    async def complete(self, name: str) -> assets_pb2.Asset:
        """Take it into the library."""
        asset: assets_pb2.Asset = await self.call(
            "CompleteUpload", assets_pb2.CompleteUploadRequest(name=name)
        )
        return asset

    async def upload(self, content: bytes, content_type: str = "image/jpeg", **more: Any) -> assets_pb2.Asset:
        """The whole way into the library."""
        upload = await self.open(content, content_type, **more)
        assert await self.world.put(upload, content) == 200
        return await self.complete(upload.name)

    async def get(self, name: str) -> assets_pb2.Asset:
        """An asset."""
        asset: assets_pb2.Asset = await self.call("GetAsset", assets_pb2.GetAssetRequest(name=name))
        return asset

    async def list(self, **more: Any) -> assets_pb2.ListAssetsResponse:
        """A page of the library."""
        page: assets_pb2.ListAssetsResponse = await self.call(
            "ListAssets", assets_pb2.ListAssetsRequest(**more)
        )
        return page

    async def link(self, name: str) -> assets_pb2.DownloadAssetResponse:
        """Where its bytes are."""
        found: assets_pb2.DownloadAssetResponse = await self.call(
            "DownloadAsset", assets_pb2.DownloadAssetRequest(name=name)
        )
        used(found.url, "presigned URL")
        return found

    async def download(self, name: str) -> bytes:
        """Its bytes, as a browser gets them."""
        _, _, body = await self.world.fetch((await self.link(name)).url)
        return body


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """The user names that identity knows, by account; `asked` counts the questions."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.asked = 0

    async def BatchGetPublicProfiles(
        self, request: identity_pb2.BatchGetPublicProfilesRequest, _context: Any
    ) -> identity_pb2.BatchGetPublicProfilesResponse:
        self.asked += 1
        known = {each: self.names[each] for each in request.accounts if each in self.names}
        profiles = [identity_pb2.PublicProfile(account=a, username=n) for a, n in known.items()]
        return identity_pb2.BatchGetPublicProfilesResponse(profiles=profiles)


class World:
    """A service with a database of its own, `db`; `desk` is what it works with."""

    db: Database
    desk: Desk

    def __init__(self, infra: Infra, database: str, clock: Clock | None = None) -> None:
        self.infra, self.database, self.clock = infra, database, clock or Clock()
        self.tokens = Tokens(self.clock)
        admin = infra.s3.admin_credentials
        host = infra.s3.url.removeprefix("http://")
        self.s3 = Minio(host, admin.access, admin.secret, secure=False, region="us-east-1")
        self.address = ""
        self.identity, self.identity_address = Identity(), ""
        self._channels: dict[tuple[str, str], Any] = {}

    def settings(self, **more: Any) -> Settings:
        """As the launcher would give them."""
        given = {
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "tls_dir": self.infra.tls_dir("assets"),
            "nats_url": self.infra.nats.url,
            "database_url": self.database,
            "nats_password": self.infra.nats.password("assets"),
            "request_key": REQUEST_KEY,
            "peers": {"identity": self.identity_address},
            "s3_url": self.infra.s3.url,
            "s3_access_key": self.infra.s3.credentials.access,
            "s3_secret_key": self.infra.s3.credentials.secret,
            "drawn": 0,  # tests draw when they want to: test_renditions.py
            **more,
        }
        return Settings(**given)

    @asynccontextmanager
    async def serving(self, **more: Any) -> AsyncIterator[Service]:
        """The service in this process."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._knowing_names())
            settings = self.settings(**more)
            service = await stack.enter_async_context(
                Unhurried("assets", settings, metadata=Row.metadata, clock=self.clock, jwks=self.tokens.jwks)
            )
            self.db = service.db
            self.desk = await stack.enter_async_context(compose(service, settings))
            self.address = await stack.enter_async_context(running(service))
            stack.push_async_callback(self.hang_up)
            yield service

    @asynccontextmanager
    async def _knowing_names(self) -> AsyncIterator[None]:
        """Identity, as far as assets asks it."""
        folder = self.infra.tls_dir("identity")
        key, chain, ca = ((folder / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
        server = grpc.aio.server()
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(self.identity, server)
        trusted = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
        self.identity_address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', trusted)}"
        await server.start()
        try:
            yield
        finally:
            await server.stop(0.1)

    async def hang_up(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    def channel(self, caller: str, address: str = "") -> Any:
        """The service as somebody with the certificate of `caller` reaches it."""
        key = caller, address or self.address
        if key not in self._channels:
            opened = open_channel(key[1], self.infra.tls_dir(caller), "assets")
            self._channels[key] = PeerChannel(opened)
        return self._channels[key]

    def stub(self, caller: str, address: str = "") -> Any:
        """AssetsService there."""
        return assets_pb2_grpc.AssetsServiceStub(self.channel(caller, address))

    async def call(
        self, rpc: str, request: Any, *, caller: str = "gateway", metadata: Any = (), address: str = ""
    ) -> Any:
        """Call an RPC; raises the refusal."""
        try:
            return await getattr(self.stub(caller, address), rpc)(request, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from None

    async def store(
        self, header: Any, content: bytes, *, caller: str = "generation", address: str = ""
    ) -> Any:
        """Bring an Output."""
        return await self.call("StoreOutput", parts(header, content), caller=caller, address=address)

    async def person(self) -> Person:
        """Somebody new, of whom identity told."""
        person = Person(self)
        await self.announce(self.verified(person))
        await eventually(lambda: self.sql("SELECT 1 FROM subjects WHERE account = $1", person.id))
        return person

    @staticmethod
    def verified(person: Person) -> identity.AccountVerified:
        """What identity says of somebody who confirmed an address."""
        event = identity.AccountVerified(account=person.account, policy_version="1", terms_version="1")
        event.accepted_at.GetCurrentTime()
        return event

    async def announce(self, event: Any) -> None:
        """Say it as the service whose event it is."""
        source = event.DESCRIPTOR.file.package.split(".")[1]
        password, tls_dir = self.infra.nats.password(source), self.infra.tls_dir(source)
        bus = await events.connect(self.infra.nats.url, source, password, tls_dir)
        try:
            headers = {"Nats-Msg-Id": str(uuid4())}
            body = event.SerializeToString()
            await bus.jetstream().publish(events.subject_of(event), body, headers=headers)
        finally:
            await bus.close()

    async def put(self, upload: assets_pb2.Upload, content: bytes, **headers: str) -> int:
        """Send bytes to storage as a browser does; answers the status."""
        sent = {**upload.headers, **headers}
        async with (
            aiohttp.ClientSession() as http,
            http.put(upload.url, data=content, headers=sent) as answer,
        ):
            return answer.status

    async def fetch(self, url: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body."""
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    def keys(self, bucket: str, owner: Person | None = None) -> set[UUID]:
        """What lies in a bucket, or on somebody's shelf there."""
        shelf = f"{shelf_of(owner.id)}/" if owner else ""
        found = self.s3.list_objects(bucket, prefix=shelf, recursive=True)
        return {key_at(str(each.object_name)) for each in found}

    def stored(self, bucket: str, key: UUID) -> bytes:
        """The bytes of an object."""
        response = self.s3.get_object(bucket, path_of(key))
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()

    async def key_of(self, asset: str) -> UUID:
        """Under which key an asset's bytes are."""
        rows = await self.sql("SELECT object FROM assets WHERE id = $1", UUID(asset.removeprefix("assets/")))
        found: UUID = rows[0]["object"]
        return found

    async def quarantine_of(self, upload: str) -> UUID:
        """Under which key an upload's bytes arrive."""
        rows = await self.sql(
            "SELECT quarantine FROM uploads WHERE id = $1", UUID(upload.removeprefix("uploads/"))
        )
        found: UUID = rows[0]["quarantine"]
        return found

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the database from outside."""
        connection = await asyncpg.connect(self.database)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


def header_for(person: Person, content: bytes, **more: Any) -> Any:
    """What is said of an Output before it comes."""
    given = {
        "account": person.account,
        "generation": f"generations/{uuid4()}",
        "index": 0,
        "content_type": "image/png",
        "size_bytes": len(content),
        "sha256": digest(content),
        **more,
    }
    return assets_pb2.StoreOutputRequest.Header(**given)


def parts(header: Any, content: bytes) -> Iterable[assets_pb2.StoreOutputRequest]:
    """The stream of an Output."""
    yield assets_pb2.StoreOutputRequest(header=header)
    for at in range(0, len(content), CHUNK):
        yield assets_pb2.StoreOutputRequest(chunk=content[at : at + CHUNK])


@asynccontextmanager
async def world(infra: Infra, clock: Clock | None = None) -> AsyncIterator[World]:
    """A database for a run of tests, and the service on it."""
    name = f"assets_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} OWNER assets")
    url = re.sub(r"/assets\?", f"/{name}?", infra.postgres.dsn("assets"), count=1)
    try:
        made = World(infra, url, clock)
        async with made.serving():
            yield made
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
