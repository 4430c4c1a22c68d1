"""A database and a role for each service, in a PostgreSQL wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg

from deploy.local.secret_files import SecretFiles

ADMIN = "postgres"
"""The superuser, and the database in which nothing is kept."""


class Databases:
    """The databases of one server. `dsn` and `admin_dsn` are for asyncpg and libpq.

    `where` answers, for a role, what follows a database's name in a URL: how the server is reached.
    """

    def __init__(
        self, secrets: SecretFiles, services: Sequence[str], where: Callable[[str], tuple[str, str]]
    ) -> None:
        self._secrets, self._services, self._where = secrets, services, where

    def dsn(self, service: str) -> str:
        """As the service's own role, to its own database."""
        return self._dsn(service)

    @property
    def admin_dsn(self) -> str:
        """As the superuser."""
        return self._dsn(ADMIN)

    def password(self, role: str) -> str:
        """The password of a role."""
        return self._secrets.get("postgres", role)

    async def prepare(self) -> None:
        """A role and a database for each service; nobody else may connect to it."""
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            there = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            await connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
            for service in self._services:
                if service not in there:
                    await self._create(connection, service)
        finally:
            await connection.close()

    async def _create(self, connection: asyncpg.Connection[asyncpg.Record], service: str) -> None:
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", service)
        verb = "ALTER" if known else "CREATE"
        await connection.execute(f"{verb} ROLE {service} LOGIN PASSWORD '{self.password(service)}'")
        await connection.execute(f"CREATE DATABASE {service} OWNER {service}")
        await connection.execute(f"REVOKE ALL ON DATABASE {service} FROM PUBLIC")

    def _dsn(self, role: str) -> str:
        host, options = self._where(role)
        return f"postgresql://{role}:{self.password(role)}@{host}/{role}?{options}"
