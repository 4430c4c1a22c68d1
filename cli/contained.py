"""The platform in containers, seen from the one that scrubs it (docker-compose.yml)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli.local import Local, Storage
from deploy.containers.place import GRPC, PORTS, STATE, database_at
from deploy.local.databases import Databases
from deploy.local.infra import SERVICES
from deploy.local.nats import Nats
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder

BESIDE = 10_000  # what lies between a listener's ports of weed for HTTP and for gRPC


@dataclass(frozen=True)
class Contained(Local):
    """Containers are called by their processes' names; what they have is mounted as in a state folder."""

    @classmethod
    def at(cls, root: Path = STATE) -> Self:
        """With the certificates and passwords that are mounted; it has none of those that make others."""
        state = StateFolder(root)
        secrets = SecretFiles(state)
        databases = Databases(secrets, SERVICES, lambda role: database_at(root / "tls" / role))
        bus = Nats(state, secrets, root / "tls" / "operator", PORTS["nats"], SERVICES, host="nats")
        return cls(state, {"postgres": databases.admin_dsn, "nats": bus.admin_url})

    def tls_dir(self, process: str) -> Path:
        """As mounted: `setup` makes it, and renews it at each start."""
        return self.state.root / "tls" / process

    def reached(self, service: str) -> str:
        """On the network that services share."""
        return f"{service}:{GRPC}"

    def storage(self) -> Storage:
        """Over the network that storage is in."""
        ports = {name: PORTS[f"s3.{name}"] for name in ("master", "filer", "volume")}
        ports |= {f"{name}.grpc": port + BESIDE for name, port in ports.items()}
        return Storage(self.state, {name: f"s3:{port}" for name, port in ports.items()})
