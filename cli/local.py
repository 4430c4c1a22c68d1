"""The platform that runs on this machine, for commands that look into it or ask something of it."""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import asyncpg
import grpc.aio
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from chassis.clock import Clock
from chassis.db import Database
from chassis.rpc.client import open_channel
from deploy.local.certs import Certificates, client
from deploy.local.state import StateFolder

SECONDS = 5.0  # to connect
LISTENERS = {name: f"s3.{name}" for name in ("master", "master.grpc", "filer", "filer.grpc", "volume")}
"""Those of SeaweedFS that its operator needs, and as what their ports are held."""
NO_POSTGRES = "PostgreSQL does not answer: `make status` shows what runs."


class NotUpError(Exception):
    """The platform, or the part of it that is needed, does not run; the message says what to do."""


@dataclass(frozen=True)
class Storage:
    """The doors of SeaweedFS that only its operator may use: host and port by listener (`master.grpc`)."""

    state: StateFolder
    at: Mapping[str, str]


@dataclass(frozen=True)
class Local:
    """Its databases and its bus, as their administrator; `endpoints` as in API.md."""

    state: StateFolder
    endpoints: dict[str, Any]

    @classmethod
    def find(cls, state: StateFolder) -> Self:
        """The platform of this state folder. Raises NotUpError."""
        if state.holder() is None:
            raise NotUpError(f"Nothing runs in {state.root}: `make up` starts it.")
        if not state.endpoints.exists():
            raise NotUpError(f"Not everything is up yet in {state.root}: `make status` shows what is.")
        return cls(state, json.loads(state.endpoints.read_text(encoding="utf-8")))

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[Database]:
        """A service's database. Raises NotUpError if the server does not answer."""
        url = self._database_url(service)
        # Nothing is created through it, so it needs no key to know requests again.
        opened = Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"", size=(1, 1))
        try:
            db = await opened.__aenter__()
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise NotUpError(NO_POSTGRES) from error
        try:
            yield db
        finally:
            await opened.__aexit__(None, None, None)

    @asynccontextmanager
    async def sql(self, service: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection to a service's database, to look into it from outside. Raises NotUpError."""
        url = self._database_url(service)
        try:
            connection = await asyncpg.connect(url, timeout=SECONDS)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise NotUpError(NO_POSTGRES) from error
        try:
            yield connection
        finally:
            await connection.close()

    def _database_url(self, service: str) -> str:
        return re.sub(r"/[^/?]*\?", f"/{service}?", self.endpoints["postgres"], count=1)

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Client]:
        """The bus. Raises NotUpError if the server does not answer."""
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # nats-py's TLS ends with an idle warning
        context = self.tls("operator")
        try:
            client = await nats.connect(
                self.endpoints["nats"], tls=context, allow_reconnect=False, connect_timeout=int(SECONDS)
            )
        except (OSError, NatsError, TimeoutError) as error:
            raise NotUpError("NATS does not answer: `make status` shows what runs.") from error
        try:
            yield client
        finally:
            await client.close()

    def tls(self, process: str) -> ssl.SSLContext:
        """What a TLS client needs that has the certificate of a process."""
        return client(self.tls_dir(process))

    def tls_dir(self, process: str) -> Path:
        """Certificate and key of a process."""
        return Certificates(self.state).folder(process)

    @asynccontextmanager
    async def channel(self, service: str) -> AsyncIterator[grpc.aio.Channel]:
        """A service's own door, opened with the operator's certificate. Raises NotUpError."""
        async with open_channel(self.reached(service), self.tls_dir("operator"), service) as channel:
            yield channel

    def reached(self, service: str) -> str:
        """Host and port of a service's own door. Raises NotUpError."""
        running = json.loads(self.state.processes.read_text(encoding="utf-8"))
        port = next((each["port"] for each in running if each["name"] == service), None)
        if port is None:
            raise NotUpError(f"{service} does not run: `make status` shows what does.")
        return f"127.0.0.1:{port}"

    def storage(self) -> Storage:
        """Where the operator speaks to SeaweedFS."""
        return storage_of(self.state)


def storage_of(state: StateFolder) -> Storage:
    """The SeaweedFS that runs in a state folder."""
    ports = json.loads(state.ports.read_text(encoding="utf-8"))
    return Storage(state, {name: f"127.0.0.1:{ports[held]}" for name, held in LISTENERS.items()})


def print_table(rows: Sequence[tuple[str, ...]], left: int) -> None:
    """Print rows below one another: the first `left` columns flush left, the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
