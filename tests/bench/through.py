"""What a service costs a call, whole: against bare grpc.aio with asyncpg, same TLS, messages and rows.

All servers stand in one process of their own. Ours verifies the token (cached), checks access and rules,
bounds the call, traces one call in ten and counts; a create writes a row behind the fence and its event.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
from crafiq.assets.v1 import assets_pb2 as assets
from google.protobuf.descriptor import ServiceDescriptor
from sqlalchemy import bindparam, select
from sqlmodel import col

from chassis import telemetry
from chassis.clock import Clock
from chassis.db import Database, Statement
from chassis.events import subject_of
from chassis.rpc import AccessTokens, Call, Revocations
from chassis.rpc.client import open_channel
from chassis.rpc.server import RpcServer, server_credentials
from chassis.rpc.wrap import Surroundings
from deploy.local.infra import Infra
from tests.bench.rows import Measure, Row, compare, rate
from tests.bench.servers import TRACED, bare_pool, beside, database, until_left
from tests.integration.chassis_data.rows import Note
from tests.integration.chassis_data.rows import Row as Tables
from tests.integration.chassis_data.test_relay import revoked
from tests.support import Tokens, complete

IN_FLIGHT, POOL = 16, 8
SECONDS = 14.0
"""For each row: a turn's ratio depends on whether calls come in bunches, an echo's from 0.6 to 1.1."""
SERVICE: ServiceDescriptor = assets.DESCRIPTOR.services_by_name["AssetsService"]
NAME, TITLE = f"packs/{UUID(int=1)}", "What I made in the mountains, in order"
WISH = assets.CreatePackRequest(title=TITLE, request_id=str(uuid4()))
READ = Statement(select(Note).where(col(Note.id) == bindparam("note")), Note)


class Ours:
    """The methods of assets that are called, on a small table. ListPacks asks no database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def ListPacks(self, _request: assets.ListPacksRequest, _call: Call) -> assets.ListPacksResponse:
        return assets.ListPacksResponse()

    async def CreatePack(self, request: assets.CreatePackRequest, call: Call) -> assets.Pack:
        words, now = {"title": request.title}, self._db.clock.now()
        note = Note(id=self._db.new_id(), account=call.account, mood=None, words=words, written=now)
        await self._db.create(note, revoked(call.account))
        return assets.Pack(name=f"packs/{note.id}", title=request.title)

    async def GetPack(self, request: assets.GetPackRequest, _call: Call) -> assets.Pack:
        note = await self._db.one(READ, note=UUID(request.name.removeprefix("packs/")))
        return assets.Pack(name=request.name, title=note.words["title"])


class Bare:
    """The same by hand; Two and One write in two statements of a transaction, and in one."""

    def __init__(self, pool: Any, account: UUID) -> None:
        self._pool, self._account = pool, account

    async def ListPacks(self, _request: assets.ListPacksRequest, _context: Any) -> assets.ListPacksResponse:
        return assets.ListPacksResponse()

    async def Two(self, request: assets.CreatePackRequest, _context: Any) -> assets.Pack:
        note, event, now = self._made(request)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO notes (id, account, mood, words, written) VALUES ($1, $2, NULL, $3, $4)",
                *note, now,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO outbox (id, subject, payload, traceparent, created)"
                " VALUES ($1, $2, $3, '', $4)",
                *event, now,
            )  # fmt: skip
        return assets.Pack(name=f"packs/{note[0]}", title=request.title)

    async def One(self, request: assets.CreatePackRequest, _context: Any) -> assets.Pack:
        note, event, now = self._made(request)
        await self._pool.execute(
            "WITH n AS (INSERT INTO notes (id, account, mood, words, written)"
            " VALUES ($1, $2, NULL, $3, $7) RETURNING 1)"
            " INSERT INTO outbox (id, subject, payload, traceparent, created)"
            " SELECT $4, $5, $6, '', $7 FROM n",
            *note, *event, now,
        )  # fmt: skip
        return assets.Pack(name=f"packs/{note[0]}", title=request.title)

    def _made(self, request: assets.CreatePackRequest) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
        event = revoked(self._account)
        note = uuid4(), self._account, json.dumps({"title": request.title})
        return note, (uuid4(), subject_of(event), event.SerializeToString()), Clock().now()

    async def GetPack(self, request: assets.GetPackRequest, _context: Any) -> assets.Pack:
        row = await self._pool.fetchrow(
            "SELECT id, account, mood, words, written FROM notes WHERE id = $1",
            UUID(request.name.removeprefix("packs/")),
        )
        return assets.Pack(name=request.name, title=json.loads(row["words"])["title"])


METHODS: dict[str, tuple[Any, Any]] = {
    "ListPacks": (assets.ListPacksRequest, assets.ListPacksResponse),
    "Two": (assets.CreatePackRequest, assets.Pack),
    "One": (assets.CreatePackRequest, assets.Pack),
    "CreatePack": (assets.CreatePackRequest, assets.Pack),
    "GetPack": (assets.GetPackRequest, assets.Pack),
}


async def _serve(url: str, folder: Path, account: UUID, jwks: bytes, out: Any) -> None:
    telemetry.tracing.start("bench", TRACED, folder.parent / "traces.jsonl")
    clock = Clock()

    async def keys() -> bytes:
        return jwks

    opened = Database.open(url, clock=clock, new_id=uuid4, request_key=b"k" * 32, size=(POOL, POOL))
    async with opened as db, bare_pool(url, POOL) as pool:
        ours = RpcServer(folder, Surroundings("crafiq.bench", AccessTokens(keys, clock, Revocations(clock))))
        ours.offer(SERVICE, complete(SERVICE, Ours)(db))
        bare = grpc.aio.server()
        bare.add_generic_rpc_handlers((_bare(Bare(pool, account)),))
        port = bare.add_secure_port("127.0.0.1:0", server_credentials(folder))
        await bare.start()
        out.send([await ours.start("127.0.0.1:0"), f"127.0.0.1:{port}"])
        await until_left(out)
        await bare.stop(0)


def _bare(handler: Bare) -> Any:
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(handler, name), asked.FromString, answer.SerializeToString
        )
        for name, (asked, answer) in METHODS.items()
        if name != "CreatePack"
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, methods)


class Client:
    """Calls one server as the gateway does."""

    def __init__(self, address: str, folder: Path, token: str) -> None:
        self._channel = open_channel(address, folder, "assets")
        self._metadata = (
            ("authorization", f"Bearer {token}"), ("x-forwarded-for", "192.0.2.1"), ("user-agent", "bench"),
        )  # fmt: skip

    def turns(self, method: str, request: Any) -> Measure:
        """The rate of a method, so many in flight."""
        asked, answer = METHODS[method]
        path = f"/{SERVICE.full_name}/{method}"
        call: Any = self._channel.unary_unary(path, asked.SerializeToString, answer.FromString)
        once: Callable[[], Awaitable[Any]] = lambda: call(request, metadata=self._metadata, timeout=5)  # noqa: E731
        return lambda: rate(once, IN_FLIGHT)

    async def close(self) -> None:
        await self._channel.close()


async def _measure(ours: Client, bare: Client, token: str) -> list[Row]:
    tls = f"{len(token)} B token; gRPC, mutual TLS; {IN_FLIGHT} in flight"
    stored = f"{len(TITLE)} B of text; {tls}; fsynced, Unix socket"
    nothing, name = assets.ListPacksRequest(page_size=50), assets.GetPackRequest(name=NAME)
    rows = [
        ("chassis without storage / bare echo", 0.85, "ListPacks", "ListPacks", nothing, f"2 B in, {tls}"),
        ("create with event / two inserts in a transaction", 1.1, "CreatePack", "Two", WISH, stored),
        ("create with event / one bare statement", 0.75, "CreatePack", "One", WISH, stored),
        ("read by key / bare", 0.6, "GetPack", "GetPack", name, stored),
    ]
    return [
        await compare(
            title,
            goal,
            ours.turns(mine, request),
            bare.turns(theirs, request),
            load=load,
            unit="calls/s",
            seconds=SECONDS,
        )
        for title, goal, mine, theirs, request, load in rows
    ]


async def rows(infra: Infra) -> list[Row]:
    """Echo, create and read, through a service."""
    url, account, tokens = await database(infra, "through", Tables.metadata), uuid4(), Tokens()
    words, now = {"title": TITLE}, Clock().now()
    async with Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(1, 1)) as db:
        async with bare_pool(url, 1) as pool:
            await pool.execute("INSERT INTO subjects VALUES ($1, now())", account)
        await db.insert(Note(id=UUID(int=1), account=account, mood=None, words=words, written=now))
    folder, token = infra.tls_dir("gateway"), tokens.access(account)
    with beside(_serve, url, infra.tls_dir("assets"), account, await tokens.jwks()) as server:
        clients = [Client(address, folder, token) for address in server.recv()]
        found = await _measure(clients[0], clients[1], token)
        for client in clients:
            await client.close()
    return found
