"""A database of its own, and what lies in the server's raw files."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cli.scrub import rewriting
from cli.scrub.rewriting import Rewritten, rewrite
from cli.scrub.tables import Sql
from cli.search import Needles, Sought
from deploy.local.infra import Infra


@asynccontextmanager
async def database(infra: Infra) -> AsyncIterator[tuple[str, Sql]]:
    """An empty database: its URL, and the administrator's connection to it."""
    name = f"scrub_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    url = re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)
    sql = await asyncpg.connect(url)
    # A test's own WAL stands in one segment, which no checkpoint of its own removes.
    await sql.execute("SELECT pg_switch_wal()")
    try:
        yield url, sql
    finally:
        await sql.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def sql(infra: Infra) -> AsyncIterator[Sql]:
    async with database(infra) as (_, connection):
        yield connection


@pytest.fixture
async def another(sql: Sql, infra: Infra) -> AsyncIterator[Sql]:
    """Somebody else's connection to the same database."""
    name = await sql.fetchval("SELECT current_database()")
    connection = await asyncpg.connect(re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1))
    yield connection
    await connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon."""
    monkeypatch.setattr(rewriting, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(rewriting, "PATIENCE", "20ms")


Scrub = Callable[..., Awaitable[Rewritten]]


@pytest.fixture
def scrubbed(sql: Sql) -> Scrub:
    async def scrub(**before: list[int]) -> Rewritten:
        return await rewrite(sql, before, lambda _: None)

    return scrub


def lying_in(infra: Infra, value: str) -> set[str]:
    """The kinds of PostgreSQL's raw files in which a value stands: `base`, `pg_wal`."""
    root, needles = infra.state.root / "postgres", Needles([Sought("it", value.encode())])
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)).partition("/")[0] for path in files if needles.in_file(path, "")[1]}
