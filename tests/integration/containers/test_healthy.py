"""The health check of a container, asked of a service that serves, drains, and is not there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from chassis.rpc.server import RpcServer
from chassis.rpc.tokens import AccessTokens, Revocations
from chassis.rpc.wrap import Surroundings
from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from tests.integration.containers.compose import ROOT
from tests.support import FakeClock, Tokens, eventually


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(StateFolder(tmp_path / "ours"))


def _server(tls_dir: Path) -> RpcServer:
    clock = FakeClock()
    tokens = AccessTokens(Tokens(clock).jwks, clock, Revocations(clock))
    return RpcServer(tls_dir, Surroundings("crafiq.billing", tokens))


async def _asked(address: str, tls_dir: Path) -> int:
    listen = f"0.0.0.0:{address.rpartition(':')[2]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, ROOT / "deploy" / "containers" / "healthy.py", stderr=asyncio.subprocess.DEVNULL,
        env={"CRAFIQ_LISTEN": listen, "CRAFIQ_TLS_DIR": str(tls_dir)},
    )  # fmt: skip
    return await asyncio.wait_for(process.wait(), 20)


async def _healthy(address: str, tls_dir: Path) -> bool:
    return await _asked(address, tls_dir) == 0


async def test_a_service_is_healthy_while_it_serves_and_not_when_it_drains(
    certificates: Certificates,
) -> None:
    ours = certificates.folder("billing")
    server = _server(ours)
    address = await server.start("127.0.0.1:0")
    try:
        await eventually(lambda: _healthy(address, ours))  # it has two seconds to answer
        await server.health.enter_graceful_shutdown()
        assert await _asked(address, ours) == 1
    finally:
        await server.drain(0)
    assert await _asked(address, ours) == 1, "nothing listens there any more"


async def test_whoever_else_listens_there_makes_nothing_healthy(
    certificates: Certificates, tmp_path: Path
) -> None:
    foreign = Certificates(StateFolder(tmp_path / "foreign")).folder("billing")
    server = _server(foreign)
    address = await server.start("127.0.0.1:0")
    try:
        assert await _asked(address, certificates.folder("billing")) == 1
    finally:
        await server.drain(0)
