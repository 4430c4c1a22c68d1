"""Writes migrations, and finds where they and the rows disagree. Both on a throwaway Postgres.

python -m tools.migration new billing -m "holds have a deadline"
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from chassis.migrate import upgrade
from deploy.local.infra import Infra

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = '''"""{message}"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = {previous!r}


def upgrade() -> None:
    {body}
'''
# What Postgres itself says the schema is; whatever it spells alike is alike.
CATALOGUE = """
    SELECT format('column %s.%s: %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
        CASE WHEN d.oid IS NULL THEN '' ELSE ' default ' || pg_get_expr(d.adbin, d.adrelid) END,
        CASE WHEN a.attidentity = '' THEN '' ELSE ' identity ' || a.attidentity::text END)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
    AND c.relname <> 'alembic_version'
    UNION ALL
    SELECT format('constraint %s.%s: %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c', 'x')
    AND conrelid <> 0 AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT format('index %s', indexdef) FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


def metadata_of(service: str) -> MetaData:
    """The metadata of a service's rows: `Row` in its domain."""
    found: MetaData = importlib.import_module(f"services.{service}.domain").Row.metadata
    return found


def folder_of(service: str) -> Path:
    """Where a service's migrations are."""
    return ROOT / "services" / service / "migrations"


async def drift(admin_url: str, metadata: MetaData, folder: Path) -> list[str]:
    """What the migrations in `folder` make and the metadata does not say (`-`), or the other way round (`+`).

    Compares columns, types, nullability, defaults, keys, foreign keys with their rules, CHECKs, uniques
    and indexes, in two throwaway databases; functions, triggers and views are the migrations' own.
    """
    async with _scratch(admin_url) as migrated, _scratch(admin_url) as declared:
        await upgrade(migrated, folder)
        async with _engine(declared).begin() as connection:
            await connection.run_sync(metadata.create_all)
        ours, theirs = await _catalogue(migrated), await _catalogue(declared)
    return [f"- {line}" for line in sorted(ours - theirs)] + [f"+ {line}" for line in sorted(theirs - ours)]


async def new(admin_url: str, service: str, message: str) -> Path:
    """Write the migration that brings a service's schema from its history to its rows; read it before use."""
    folder = folder_of(service)
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    numbers = sorted(path.name.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    async with _scratch(admin_url) as url:
        if numbers:
            await upgrade(url, folder)
        async with _engine(url).connect() as connection:
            body = await connection.run_sync(_changes, metadata_of(service))
    revision = f"{int(numbers[-1]) + 1 if numbers else 1:04}"
    slug = re.sub(r"\W+", "_", message.lower()).strip("_")
    path = versions / f"{revision}_{slug}.py"
    previous = numbers[-1] if numbers else None
    path.write_text(
        TEMPLATE.format(message=message, revision=revision, previous=previous, body=body), encoding="utf-8"
    )
    return path


def _changes(connection: Connection, metadata: MetaData) -> str:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    operations = produce_migrations(context, metadata).upgrade_ops
    assert isinstance(operations, UpgradeOps)
    return render_python_code(operations)


def _engine(url: str) -> AsyncEngine:
    async def connect() -> Any:
        return await asyncpg.connect(url)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


async def _catalogue(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {record[0] for record in await connection.fetch(CATALOGUE)}
    finally:
        await connection.close()


@asynccontextmanager
async def _scratch(admin_url: str) -> AsyncIterator[str]:
    name = f"scratch_{uuid4().hex}"
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield re.sub(r"/[^/?]*\?", f"/{name}?", admin_url, count=1)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.migration", description=__doc__)
    parser.add_argument("verb", choices=["new"])
    parser.add_argument("service")
    parser.add_argument("-m", "--message", required=True, help="what changes, as a sentence's end")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crafiq-migration-") as folder:
        async with Infra(Path(folder)) as infra:
            path = await new(infra.postgres.admin_dsn, asked.service, asked.message)
    print(f"wrote {path.relative_to(ROOT)}; read it before you commit it")


if __name__ == "__main__":
    asyncio.run(_main())
