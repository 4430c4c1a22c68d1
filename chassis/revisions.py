"""What runs migrations: alembic, over asyncpg. Loaded only when there are some to run."""

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


async def apply(url: str, folder: Path) -> None:
    """Run the migrations in `folder` that the database lacks, each in a transaction of its own."""

    async def connect() -> Any:
        return await asyncpg.connect(url, server_settings={"lock_timeout": "4s", "statement_timeout": "5s"})

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, folder)
        await connection.commit()


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
