"""Envoy, on the configuration that the protos give."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from deploy.local import binaries
from deploy.local.certs import Certificates
from deploy.local.ports import Ports
from deploy.local.probes import answers
from deploy.local.processes import Program, environment
from deploy.local.settings import ROOT, LauncherSettings
from deploy.local.state import StateFolder
from tools import gateway

DEFAULT_PORT = 8080
ADMIN_SOCKET = "admin.sock"


class Gateway:
    """The one door from outside: its ports, how it is run, how it is closed."""

    def __init__(self, state: StateFolder, ports: Ports, settings: LauncherSettings) -> None:
        self._settings = settings
        # Its administration is a Unix socket, whose path has to be short.
        self._folder = state.runtime / "gateway"
        wanted = settings.gateway_port
        self.port = (
            ports.take_exactly("gateway", wanted) if wanted else ports.take_near("gateway", DEFAULT_PORT)
        )
        self.url = f"http://localhost:{self.port}"
        self.origins = [self.url, f"http://127.0.0.1:{self.port}"]
        if settings.gateway_tls_port:
            ports.take_exactly("gateway_tls", settings.gateway_tls_port)

    def program(self, certificates: Certificates, upstreams: Mapping[str, str], s3: str) -> Program:
        """How it is run in front of these services and of storage (host:port)."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        config = gateway.build(
            (ROOT / "gen" / "crafiq.binpb").read_bytes(),
            listen_port=self.port,
            tls_port=self._settings.gateway_tls_port,
            upstreams=dict(upstreams),
            tls_dir=certificates.folder("gateway"),
            out_dir=self._folder,
            origins=self.origins,
            limit_factor=self._settings.gateway_limit_factor,
            s3=s3,
        )
        _, *options = gateway.command(config)
        return Program(
            name="gateway",
            command=[str(binaries.envoy()), *options],
            environment=environment(),
            folder=self._folder,
            ready=answers(f"{self.url}/healthz"),
            port=self.port,
            drain_seconds=5,
        )

    async def close(self) -> None:
        """Accept no more connections; those that are open finish what they are at."""
        over = aiohttp.UnixConnector(str(self._folder / ADMIN_SOCKET))
        timeout = aiohttp.ClientTimeout(total=2)
        async with (
            aiohttp.ClientSession(connector=over, timeout=timeout) as http,
            http.post("http://admin/drain_listeners?inboundonly") as answer,
        ):
            answer.raise_for_status()
