"""The whole platform: servers, the sandbox, services, gateway."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence

import aiohttp

from deploy.local.gateway import Gateway
from deploy.local.infra import SERVICES, Infra
from deploy.local.processes import Program, together
from deploy.local.settings import LauncherSettings
from deploy.local.state import write_private
from deploy.local.topology import Topology

# Who calls others while it finishes what it is at, before those whom it calls.
DRAIN_ORDER = (("generation", "identity"), ("assets", "billing", "privacy"))
SANDBOX = ("sandbox-openai", "sandbox-stripe", "sandbox-smtp")


class Platform(Infra):
    """Everything that `make up` starts, used as `async with Platform(settings) as platform`.

    `services` may name fewer than all; without them there is no gateway either. `endpoints.json` is
    there exactly while everything is up.
    """

    def __init__(
        self,
        settings: LauncherSettings,
        *,
        services: Sequence[str] = SERVICES,
        announce: Callable[[str], None] = lambda _: None,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(settings.state, announce=announce, chance=chance)
        self._settings, self._services = settings, services

    @property
    def origins(self) -> list[str]:
        """The gateway's own: pages that it serves may use presigned URLs."""
        return self.gateway.origins

    def choose(self) -> None:
        """As for the servers, and for everything else."""
        super().choose()
        self.gateway = Gateway(self.state, self.ports, self._settings)
        self.topology = Topology(self, self._settings, self.gateway.url)

    async def start(self) -> None:
        """Servers and sandbox, then the services, then the gateway and the news that all is there."""
        told = self.topology
        await together(
            super().start(),
            self.fleet.run(told.sandbox_openai(), self.ports, "openai"),
            self.fleet.run(told.sandbox_stripe(), self.ports, "stripe"),
            self.fleet.run(told.sandbox_smtp(), self.ports, "smtp", "inbox"),
        )
        await together(*(self._start_service(name) for name in self._services))
        if self._services:
            await self.fleet.run(self._gateway(), self.ports, "gateway", "gateway_tls")
        write_private(self.state.endpoints, json.dumps(self.endpoints(), indent=1) + "\n")

    async def stop(self) -> None:
        """Take no more requests, let those in hand finish, then stop from the outside in."""
        self.state.endpoints.unlink(missing_ok=True)
        if "gateway" in self.fleet:
            with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                await self.gateway.close()
        for wave in DRAIN_ORDER:
            await self.fleet.stop(*wave)
        await self.fleet.stop("gateway", *SANDBOX)
        await super().stop()

    def endpoints(self) -> dict[str, object]:
        """Where everything is: what `endpoints.json` says."""
        told = self.topology
        return {
            "gateway": self.gateway.url,
            "inbox": told.inbox_url,
            "sandbox": {
                "openai": f"http://127.0.0.1:{told.openai}",
                "stripe": f"http://127.0.0.1:{told.stripe}",
                "smtp": f"smtp://127.0.0.1:{told.smtp}",
            },
            "postgres": self.postgres.admin_dsn,
            "nats": self.nats.admin_url,
            "s3": self.s3.url,
            "metrics": {name: f"https://127.0.0.1:{port}/metrics" for name, port in told.metrics.items()},
        }

    async def _start_service(self, name: str) -> None:
        await self.fleet.run(self.topology.service(name), self.ports, name, f"{name}.metrics")

    def _gateway(self) -> Program:
        return self.gateway.program(self.certificates, self.topology.peers, f"127.0.0.1:{self.s3.port}")
