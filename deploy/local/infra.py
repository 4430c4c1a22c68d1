"""The servers alone: what every service and every integration test stands on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

from deploy.local import seaweed
from deploy.local.certs import Certificates
from deploy.local.fleet import Fleet
from deploy.local.nats import Nats
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.processes import together
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder

SERVICES = ("identity", "assets", "generation", "billing", "privacy")


class Infra:
    """PostgreSQL, NATS and S3 in one state folder, used as `async with Infra(folder) as infra`.

    Entering starts them side by side and makes roles, databases, streams and buckets; leaving stops
    them. `infra.postgres.dsn(service)`, `infra.nats.url` and `.password(service)`, `infra.s3.url` and
    `.credentials`, `infra.tls_dir(process)`. Raises StartFailed, PortTaken or StateError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        announce: Callable[[str], None] = lambda _: None,
        chance: random.Random | None = None,
    ) -> None:
        self.state = StateFolder(folder)
        self.fleet = Fleet(self.state, announce)
        self.ports = Ports(self.state, announce, chance or random.SystemRandom())

    async def __aenter__(self) -> Self:
        self.state.acquire()
        try:
            # A launcher that was killed could not take it back.
            self.state.endpoints.unlink(missing_ok=True)
            self.state.sweep()
            await self.fleet.await_leftovers()
            self.ports.load()
            self.choose()
            self.ports.save()
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def origins(self) -> list[str]:
        """The pages whose scripts may use presigned URLs."""
        return ["http://localhost:8080"]

    def tls_dir(self, process: str) -> Path:
        """The folder with `ca.crt`, `tls.crt` and `tls.key` of a process of that name."""
        return self.certificates.folder(process)

    def port(self, name: str) -> int:
        """A port for `name`: last time's if it is free."""
        return self.ports.take(name)

    def listens(self, port: int) -> str:
        """Nobody but this machine gets in."""
        return f"127.0.0.1:{port}"

    def reached(self, process: str, port: int) -> str:
        """Where others reach a process: every one is on this machine."""
        del process
        return f"127.0.0.1:{port}"

    def choose(self) -> None:
        """Choose ports, make keys: everything that can be settled before a process starts."""
        self.secrets = SecretFiles(self.state)
        self.certificates = Certificates(self.state)
        self.postgres = Postgres(self.state, self.secrets, SERVICES)
        nats_tls = self.certificates.folder("nats")
        self.nats = Nats(self.state, self.secrets, nats_tls, self.ports.take("nats"), SERVICES)
        ports = {name: self.port(name) for name in seaweed.PORTS}
        self.s3 = seaweed.Seaweed(self.state, self.secrets, self.certificates, ports, SERVICES)

    async def start(self) -> None:
        """Start the servers, side by side, and make in them what services expect."""
        await together(self._start_postgres(), self._start_nats(), self._start_s3())

    async def stop(self) -> None:
        """Stop what runs, all at once, and give the folder back."""
        try:
            await self.fleet.stop()
        finally:
            self.ports.close()
            shutil.rmtree(self.state.runtime, ignore_errors=True)
            self.state.release()

    async def _start_postgres(self) -> None:
        await self.fleet.run(await self.postgres.program(), self.ports)
        await self.postgres.prepare()

    async def _start_nats(self) -> None:
        await self.fleet.run(self.nats.program(), self.ports, "nats")

    async def _start_s3(self) -> None:
        await self.fleet.run(self.s3.program(self.origins), self.ports, *seaweed.PORTS)
        await self.s3.prepare()
