"""A database of the test's own, and a NATS server that tests may stop and kill."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis import events
from chassis.clock import Clock
from chassis.db import Database
from deploy.local import binaries
from deploy.local.infra import Infra
from tests.integration.chassis_data.rows import Row

KEY = b"k" * 32


@pytest.fixture(scope="session")
async def library_url(infra: Infra) -> AsyncIterator[str]:
    """A database with the tables of `rows`."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await admin.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'")  # not a second each
    url = re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)

    async def connect() -> Any:
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Row.metadata.create_all)
    yield url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def database_url(library_url: str) -> str:
    """The same database, empty."""
    connection = await asyncpg.connect(library_url)
    await connection.execute("; ".join(f"DELETE FROM {t.name}" for t in reversed(Row.metadata.sorted_tables)))  # noqa: S608  # our own tables
    await connection.close()
    return library_url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(
        database_url, clock=Clock(), new_id=uuid4, request_key=KEY, size=(1, 8)
    ) as database:
        yield database


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A bare connection, to look from outside."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def new_account(sql: asyncpg.Connection) -> Callable[[], Any]:
    """Makes accounts that live."""

    async def make() -> UUID:
        account = uuid4()
        await sql.execute("INSERT INTO subjects (account, since) VALUES ($1, now())", account)
        return account

    return make


@pytest.fixture
async def account(new_account: Callable[[], Any]) -> UUID:
    """An account that lives."""
    made: UUID = await new_account()
    return made


class Bus:
    """A NATS server on a plain socket, with a stream for identity and one for generation."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.folder = folder
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        quiet = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(
            str(binaries.script("nats-server")), *command, stdout=quiet, stderr=quiet
        )
        client = await nats.connect(self.url, reconnect_time_wait=0.02, max_reconnect_attempts=-1)
        for name in ("identity", "generation"):
            subjects = [f"crafiq.{name}.>"]
            await client.jetstream().add_stream(
                StreamConfig(name=name.upper(), subjects=subjects, duplicate_window=600)
            )
        await client.close()

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            self.process = None

    async def connect(self) -> Client:
        return await events.connect(self.url, "library", "", None)


@pytest.fixture
async def bus_server() -> AsyncIterator[Bus]:
    folder = Path(tempfile.mkdtemp(prefix="crafiq-nats-"))
    server = Bus(folder)
    await server.start()
    yield server
    await server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def bus(bus_server: Bus) -> AsyncIterator[Client]:
    client = await bus_server.connect()
    yield client
    await client.close()
