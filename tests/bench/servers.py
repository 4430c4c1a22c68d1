"""Real servers for the benches that store something, and the bare side's connections to them."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import re
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deploy.local.infra import Infra
from tests.bench.rows import Row

Measured = Callable[[Infra], Coroutine[Any, Any, list[Row]]]
TRACED = 0.1
"""The share of calls that are traced, as `make up` has it."""


def on_servers(*benches: Measured) -> list[Row]:
    """Start the servers, run these one after the other, stop the servers."""
    return asyncio.run(_on_servers(benches))


async def _on_servers(benches: tuple[Measured, ...]) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="crafiq-bench-", ignore_cleanup_errors=True) as folder:
        async with Infra(Path(folder)) as infra:
            for bench in benches:
                # The launcher needs asyncio's own loop, services run on uvloop: that gets a thread.
                rows += await asyncio.to_thread(uvloop.run, bench(infra))
    return rows


@contextmanager
def beside(serve: Callable[..., Coroutine[Any, Any, None]], *told: Any) -> Iterator[Connection]:
    """Run `serve(*told, connection)` in a process of its own, on uvloop, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_served, args=(serve, told, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _served(serve: Callable[..., Coroutine[Any, Any, None]], told: tuple[Any, ...], out: Connection) -> None:
    quiet()
    uvloop.run(serve(*told, out))


async def until_left(out: Connection) -> None:
    """Return when whoever started this process is done with it, however they ended."""
    with suppress(EOFError):
        await asyncio.to_thread(out.recv)


def quiet() -> None:
    """nats-py's TLS connections end with a warning that says nothing to anyone."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)


async def database(infra: Infra, name: str, tables: MetaData) -> str:
    """The URL of a database of that name, with these tables."""
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await admin.close()
    url = re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)

    async def connect() -> Any:
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(tables.create_all)
    return url


def bare_pool(url: str, size: int) -> Any:
    """asyncpg's own pool, with no more round trips than ours: it resets nothing either."""
    return asyncpg.create_pool(url, min_size=size, max_size=size, reset=_keep)


async def _keep(_connection: Any) -> None:
    """Nothing that outlives a transaction is set here."""
