"""Migrations run once, one process at a time, and never hold up those that still serve."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from chassis.migrate import upgrade
from deploy.local.infra import Infra

STEP = """
from alembic import op
revision = "{revision}"
down_revision = {previous!r}
def upgrade() -> None:
    op.execute("{sql}")
"""


@pytest.fixture
async def empty_url(infra: Infra) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def steps(folder: Path, *statements: str) -> Path:
    (folder / "versions").mkdir(exist_ok=True)
    for number, sql in enumerate(statements, 1):
        previous = f"{number - 1:04}" if number > 1 else None
        text = STEP.format(revision=f"{number:04}", previous=previous, sql=sql)
        (folder / "versions" / f"{number:04}_step.py").write_text(text, encoding="utf-8")
    return folder


async def rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT count(*) FROM things")
    finally:
        await connection.close()


async def test_processes_that_start_at_once_migrate_once(empty_url: str, tmp_path: Path) -> None:
    folder = steps(tmp_path, "CREATE TABLE things (n int)", "INSERT INTO things VALUES (1)")
    await asyncio.gather(*(upgrade(empty_url, folder) for _ in range(4)))
    assert await rows(empty_url) == 1
    steps(
        tmp_path,
        "CREATE TABLE things (n int)",
        "INSERT INTO things VALUES (1)",
        "INSERT INTO things VALUES (2)",
    )
    await upgrade(empty_url, folder)
    assert await rows(empty_url) == 2


async def test_a_schema_that_is_up_to_date_costs_no_look_into_the_steps(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = steps(tmp_path, "CREATE TABLE things (n int)", "INSERT INTO things VALUES (1)")
    await upgrade(empty_url, folder)
    monkeypatch.setitem(sys.modules, "chassis.revisions", None)  # whoever loads it now fails
    await upgrade(empty_url, folder)
    with pytest.raises(ImportError):
        await upgrade(empty_url, steps(tmp_path, "", "", "INSERT INTO things VALUES (2)"))


async def test_a_step_that_fails_leaves_those_before_it(empty_url: str, tmp_path: Path) -> None:
    good = ("CREATE TABLE things (n int)", "INSERT INTO things VALUES (1)")
    with pytest.raises(DBAPIError):
        await upgrade(empty_url, steps(tmp_path, *good, "SELECT 1 / 0"))
    assert await rows(empty_url) == 1
    await upgrade(empty_url, steps(tmp_path, *good, "INSERT INTO things VALUES (2)"))
    assert await rows(empty_url) == 2


async def test_a_lock_that_somebody_holds_is_not_waited_for_long(empty_url: str, tmp_path: Path) -> None:
    await upgrade(empty_url, steps(tmp_path, "CREATE TABLE things (n int)"))
    busy = await asyncpg.connect(empty_url)
    async with busy.transaction():
        await busy.execute("LOCK TABLE things")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await upgrade(
                empty_url, steps(tmp_path, "CREATE TABLE things (n int)", "ALTER TABLE things ADD m int")
            )
    await busy.close()
