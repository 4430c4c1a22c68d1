"""PostgreSQL 18, over a Unix socket only."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from deploy.local import binaries
from deploy.local.databases import ADMIN, Databases
from deploy.local.processes import PosixUser, Program, StartFailed
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder

SOCKET_PORT = 5432  # part of the socket's file name; nothing listens on TCP
USERS = ("postgres", "nobody")
# The server works in its data folder and names it so: then it needs no way through the folders above,
# which may be closed to the user that it runs as.
HERE = "/proc/self/cwd"
DOORS = {
    "listen_addresses": "",
    "port": str(SOCKET_PORT),
    "unix_socket_permissions": "0700",
}
CLUSTER = (
    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
    *("--auth=scram-sha-256", "--data-checksums"),
)
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
    "wal_recycle": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No statement, no parameter, no offending row: a log is no place for what people wrote. The message
    # of an error may quote a value as well, so what the server says of itself is all that is logged.
    "log_statement": "none",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_min_messages": "log",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_line_prefix": "%m [%p] %q%u ",
}


class Postgres(Databases):
    """The server of one state folder, and its databases."""

    def __init__(self, state: StateFolder, secrets: SecretFiles, services: Sequence[str]) -> None:
        super().__init__(secrets, services, lambda _: ("", f"host={self._socket}&port={SOCKET_PORT}"))
        self._data = state.folder("postgres")
        self._user = _server_user(self._data)
        self._programs = binaries.postgres(state, self._user)
        self._socket = state.runtime / "pg"

    async def program(self) -> Program:
        """Make the data folder if there is none; answers how the server is run."""
        self._socket.mkdir(mode=0o700, exist_ok=True)
        self._give(self._socket, self._data)
        if not (self._data / "PG_VERSION").exists():
            await self._initialise()
        options = [f"--{name}={value}" for name, value in (DOORS | SETTINGS).items()]
        sockets = f"--unix_socket_directories={self._socket}"
        return Program(
            name="postgres",
            command=[str(self._programs / "postgres"), "-D", HERE, *options, sockets],
            environment={"PATH": os.defpath, "LANG": "C"},
            folder=self._data,
            ready=self._accepts,
            user=self._user,
            # After a kill -9 the old server's children hold the lock for a while.
            tries=50,
            stop_signal=signal.SIGINT,  # fast: ends connections, then shuts down in order
            orphan_signal=signal.SIGINT,
        )

    async def _initialise(self) -> None:
        password = self._socket / "password"
        password.write_text(self.password(ADMIN), encoding="utf-8")
        self._give(password)
        try:
            await self._initdb(password)
        finally:
            password.unlink()

    async def _initdb(self, password: Path) -> None:
        process = await asyncio.create_subprocess_exec(
            str(self._programs / "initdb"),
            *("-D", HERE, "-U", ADMIN, *CLUSTER, f"--pwfile={password}", "--no-instructions"),
            cwd=self._data,
            env={"PATH": os.defpath, "LANG": "C", "TZ": "UTC"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            user=self._user.uid if self._user else None,
            group=self._user.gid if self._user else None,
            umask=0o077,
        )
        output, _ = await process.communicate()
        if process.returncode:
            for left in self._data.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            raise StartFailed(f"initdb failed: {output.decode(errors='replace')[-600:]}")

    async def _accepts(self) -> bool:
        try:
            connection = await asyncpg.connect(self.admin_dsn, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    def _give(self, *paths: Path) -> None:
        for path in paths:
            if self._user:
                os.chown(path, self._user.uid, self._user.gid)


def _server_user(data: Path) -> PosixUser | None:
    """Whom the server runs as where the launcher is root, as whom PostgreSQL refuses to run."""
    if os.geteuid() != 0:
        return None
    owner = data.stat()
    if owner.st_uid != 0:  # an earlier run decided
        return PosixUser(pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid)
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return PosixUser(name, found.pw_uid, found.pw_gid)
    raise StartFailed(f"PostgreSQL does not run as root, and none of the users {', '.join(USERS)} exists.")
