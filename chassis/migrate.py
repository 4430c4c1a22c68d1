"""Migrations: each service's own history (`services/<name>/migrations/versions`), run before it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

_ONE_AT_A_TIME = 0x6372_6166_6971  # the key of an advisory lock


async def upgrade(url: str, folder: Path) -> None:
    """Bring the database to the newest revision in `folder`; one process at a time, others wait.

    A statement may wait 4 s for a lock and run 5 s, because the old code is still serving; raises
    asyncpg's errors, wrapped by SQLAlchemy, and leaves the revisions that succeeded.
    """
    lock = await asyncpg.connect(url)
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _ONE_AT_A_TIME)

        async def connect() -> Any:
            return await asyncpg.connect(
                url, server_settings={"lock_timeout": "4s", "statement_timeout": "5s"}
            )

        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, folder)
            await connection.commit()
    finally:
        await lock.close()


def _upgrade(connection: Connection, folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("heads", revision)  # noqa: SLF001  # what alembic's own command calls

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(connection=connection, transaction_per_migration=True)
        with environment.begin_transaction():
            environment.run_migrations()
