"""NATS with JetStream: a user for each service, who may publish as itself only, and a stream for each."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import nats
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from deploy.local import binaries, certs
from deploy.local.probes import accepts
from deploy.local.processes import Program, environment
from deploy.local.secret_files import SecretFiles, key
from deploy.local.state import StateFolder, write_private

ADMIN = "admin"
PURGES = "privacy"
"""Who removes everything about a person from the bus."""
MAX_AGE = timedelta(days=7)
MEMORY_LIMIT = "256MiB"
DUPLICATE_WINDOW = timedelta(minutes=10)


def permissions(service: str) -> dict[str, object]:
    """What a service's user may do: announce as itself, read any stream through its own consumers.

    Its durable consumer has its name. Consumers without a name get their messages pushed into its own
    inbox, so that it can ask for nobody else's.
    """
    publish = [
        f"crafiq.{service}.>",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.NAMES",
        "$JS.API.CONSUMER.CREATE.*",
        f"$JS.API.CONSUMER.CREATE.*.{service}",
        f"$JS.API.CONSUMER.CREATE.*.{service}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.*.{service}",
        "$JS.API.CONSUMER.INFO.*.*",
        f"$JS.API.CONSUMER.MSG.NEXT.*.{service}",
        f"$JS.API.CONSUMER.DELETE.*.{service}",
        "$JS.API.DIRECT.GET.>",
        f"$JS.ACK.*.{service}.>",
        "$JS.FC.>",
        *(["$JS.API.STREAM.PURGE.*"] if service == PURGES else []),
    ]
    return {"publish": {"allow": publish}, "subscribe": {"allow": [f"_INBOX_{service}.>"]}}


class Nats:
    """The server of one state folder. Clients use mutual TLS, user name (the service's) and password."""

    def __init__(
        self,
        state: StateFolder,
        secrets: SecretFiles,
        tls: Path,
        port: int,
        services: Sequence[str],
        host: str = "127.0.0.1",
    ) -> None:
        self._state, self._secrets, self._tls, self.port = state, secrets, tls, port
        self._services, self._place = services, f"{host}:{port}"
        self.url = f"tls://{self._place}"

    def password(self, user: str) -> str:
        """The password of a service, or of `admin`, who may do everything but is not the system's user."""
        return self._secrets.get("nats", user)

    @property
    def admin_url(self) -> str:
        """The URL with the administrator's name and password."""
        return f"tls://{ADMIN}:{self.password(ADMIN)}@{self._place}"

    @property
    def tls(self) -> ssl.SSLContext:
        """What a client needs besides name and password: our CA, and a certificate of ours."""
        return certs.client(self._tls)

    def program(self) -> Program:
        """How the server is run."""
        config = self.configure(f"127.0.0.1:{self.port}")
        return Program(
            name="nats",
            command=[str(binaries.script("nats-server")), "-c", str(config)],
            environment=environment(GOMEMLIMIT=MEMORY_LIMIT),
            folder=self._state.folder("nats"),
            ready=accepts(self.port),
            port=self.port,
            # Killed twice in a row, 2.15.1 may find a stream's state file half written, and drops the stream.
            prepare=self.prepare,
        )

    def configure(self, listen: str, **more: object) -> Path:
        """Write the server's configuration; it has the passwords and stands with the secrets."""
        config = json.dumps({**self._config(listen), **more}, indent=1)
        return write_private(self._secrets.folder("nats") / "nats.conf", config)

    async def prepare(self) -> None:
        """A stream for each service that announces: `crafiq.<service>.>`, on disk, for seven days."""
        client = await nats.connect(self.admin_url, tls=self.tls, allow_reconnect=False)
        try:
            stream_manager = client.jsm()
            for service in self._services:
                wanted = _stream(service)
                try:
                    found = await stream_manager.stream_info(str(wanted.name))
                except NotFoundError:
                    await stream_manager.add_stream(wanted)
                    continue
                if found.config.evolve(**_changeable(wanted)) != found.config:
                    await stream_manager.update_stream(found.config.evolve(**_changeable(wanted)))
        finally:
            await client.close()

    def _config(self, listen: str) -> dict[str, object]:
        users = [
            {"user": name, "password": self.password(name), "permissions": permissions(name)}
            for name in self._services
        ]
        administrator = {"user": ADMIN, "password": self.password(ADMIN)}
        return {
            "server_name": "crafiq",
            "listen": listen,
            "tls": {
                "cert_file": str(self._tls / "tls.crt"),
                "key_file": str(self._tls / "tls.key"),
                "ca_file": str(self._tls / "ca.crt"),
                "verify": True,
            },
            "jetstream": {
                "store_dir": str(self._state.folder("nats", "data")),
                "cipher": "chachapoly",
                "key": self._secrets.get("nats", "encryption_key", key),
                # What the relay was told is stored is marked as sent in the database: it has to be on disk.
                "sync_interval": "always",
            },
            "accounts": {
                "SYS": {"users": [{"user": "system", "password": self.password("system")}]},
                "APP": {"jetstream": "enabled", "users": [administrator, *users]},
            },
            "system_account": "SYS",
        }


def _stream(service: str) -> StreamConfig:
    return StreamConfig(
        name=service.upper(),
        subjects=[f"crafiq.{service}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=MAX_AGE.total_seconds(),
        duplicate_window=DUPLICATE_WINDOW.total_seconds(),
        allow_direct=True,
    )


def _changeable(config: StreamConfig) -> dict[str, object]:
    names = ("subjects", "max_age", "duplicate_window", "allow_direct")
    return {name: getattr(config, name) for name in names}
