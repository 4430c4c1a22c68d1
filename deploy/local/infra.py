"""The servers alone: what every service and every integration test stands on."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from deploy.local.certs import Certificates
from deploy.local.nats import Nats
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.processes import Program, Supervised, together
from deploy.local.seaweed import Seaweed
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
        origins: Sequence[str] = ("http://localhost:8080",),
        announce: Callable[[str], None] = lambda _: None,
        chance: random.Random | None = None,
    ) -> None:
        self.state = StateFolder(folder)
        self._origins, self._announce = origins, announce
        self._chance = chance or random.SystemRandom()
        self.running: list[Supervised] = []

    async def __aenter__(self) -> Self:
        self.state.acquire()
        try:
            self._choose()
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def tls_dir(self, process: str) -> Path:
        """The folder with `ca.crt`, `tls.crt` and `tls.key` of a process of that name."""
        return self.certificates.folder(process)

    async def stop(self) -> None:
        """Stop the servers, all at once, and give the folder back."""
        await asyncio.gather(*(process.stop() for process in self.running))
        self.running.clear()
        self.state.release()

    async def kill(self) -> None:
        """End the servers at once: for those whose state nobody needs any more."""
        await asyncio.gather(*(process.stop(signal.SIGKILL) for process in self.running))

    def _choose(self) -> None:
        self.secrets = SecretFiles(self.state)
        self.certificates = Certificates(self.state)
        self.ports = Ports(self.state, self._announce, self._chance)
        self.postgres = Postgres(self.state, self.secrets, SERVICES)
        nats_tls = self.certificates.folder("nats")
        self.nats = Nats(self.state, self.secrets, nats_tls, self.ports.take("nats"), SERVICES)
        self.s3 = Seaweed(self.state, self.secrets, self.certificates, self.ports)

    async def _start(self) -> None:
        await together(self._start_postgres(), self._start_nats(), self._start_s3())
        self.ports.save()

    async def _start_postgres(self) -> None:
        await self._run(await self.postgres.program())
        await self.postgres.prepare()

    async def _start_nats(self) -> None:
        await self._run(self.nats.program(), "nats")
        await self.nats.prepare()

    async def _start_s3(self) -> None:
        await self._run(self.s3.program(self._origins), *self.s3.port_names)
        await self.s3.prepare()

    async def _run(self, program: Program, *ports: str) -> None:
        log = self.state.folder("logs") / f"{program.name}.log"
        process = Supervised(program, log, self._announce)
        self.running.append(process)
        self.ports.release(*ports)
        await process.start()
