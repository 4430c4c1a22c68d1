"""What `setup` leaves is what the servers take, and running it again changes nothing that is good."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.containers.once import ADMIN, USER, settle
from deploy.containers.place import METRICS, PORTS
from deploy.local import binaries
from deploy.local.infra import SERVICES
from tests.integration.containers.compose import ROOT, Json
from tests.support import eventually, free_ports


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_settling_again_keeps_every_key_and_certificate(tmp_path: Path) -> None:
    settle(tmp_path)
    before = _contents(tmp_path)
    settle(tmp_path)
    assert _contents(tmp_path) == before


def test_what_is_in_the_data_folders_is_left_alone(tmp_path: Path) -> None:
    settle(tmp_path)
    data = [tmp_path / "nats" / "data" / "a", tmp_path / "s3" / "b", tmp_path / "traces" / "c"]
    for file in data:
        file.touch()
    settle(tmp_path)
    assert {file.stat().st_uid for file in data} == {os.geteuid()}


def test_everything_is_the_containers_users_alone(state: Path) -> None:
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in [state, *state.rglob("*")]} == {USER}
    closed = [state, *state.iterdir(), *(state / "secrets").rglob("*"), *(state / "tls").rglob("*")]
    assert not [path for path in closed if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_shows_the_database_its_own_certificate_and_looks_at_the_databases(
    service: str, state: Path
) -> None:
    url = urlsplit((state / "secrets" / service / "crafiq_database_url").read_text())
    options = {key: values[0] for key, values in parse_qs(url.query).items()}
    assert (url.username, url.hostname, url.port, url.path) == (service, "postgres", 5432, f"/{service}")
    tls = state / "tls" / service
    assert options == {
        "sslmode": "verify-full",
        "sslrootcert": str(tls / "ca.crt"),
        "sslcert": str(tls / "tls.crt"),
        "sslkey": str(tls / "tls.key"),
    }


def test_the_database_lets_nobody_in_without_tls() -> None:
    lines = (ROOT / "deploy" / "containers" / "pg_hba.conf").read_text().splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    inside, outside = rules[:2], rules[2:]
    assert inside == [
        ["local", "all", "postgres", "scram-sha-256"],
        ["host", "all", "postgres", "127.0.0.1/32", "scram-sha-256"],
    ]
    only = ["all", "scram-sha-256", "clientcert=verify-full"]
    assert outside == [["hostssl", "all", "postgres", *only], ["hostssl", "sameuser", "all", *only]]


def test_the_bus_takes_its_configuration(state: Path) -> None:
    config = state / "secrets" / "nats" / "nats.conf"
    said = subprocess.run(
        [binaries.script("nats-server"), "-t", "-c", config], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    told = json.loads(config.read_text())
    assert (told["listen"], told["http"]) == (f"0.0.0.0:{PORTS['nats']}", "127.0.0.1:8222")


@asynccontextmanager
async def _envoy(state: Path, tmp_path: Path) -> AsyncIterator[dict[int, int]]:
    """The gateway on this configuration, but on free ports of loopback; yields which stands for which."""
    ports = dict(zip((PORTS["gateway"], METRICS, ADMIN), free_ports(3), strict=True))
    config = (state / "gateway" / "envoy.json").read_text().replace('"0.0.0.0"', '"127.0.0.1"')
    for port, free in ports.items():
        config = config.replace(f'"port_value": {port}\n', f'"port_value": {free}\n')
    moved = tmp_path / "envoy.json"
    moved.write_text(config)
    process = await asyncio.create_subprocess_exec(
        binaries.envoy(), "-c", moved, "--concurrency", "1", "--disable-hot-restart", "-l", "error"
    )
    try:
        yield ports
    finally:
        process.terminate()
        await process.wait()


async def _does(command: list[str], ports: dict[int, int]) -> int:
    """Run what compose says, as it says it, on other ports; answers the exit code."""
    here = [re.sub(r"(?<=127\.0\.0\.1/)\d+", lambda port: str(ports[int(port[0])]), word) for word in command]
    process = await asyncio.create_subprocess_exec(*here, stderr=asyncio.subprocess.DEVNULL)
    return await asyncio.wait_for(process.wait(), 10)


async def test_the_gateway_can_be_asked_and_closes_before_it_ends(
    state: Path, tmp_path: Path, processes: Json
) -> None:
    gateway = processes["gateway"]
    kind, *ask = gateway["healthcheck"]["test"]
    (before_the_end,) = gateway["pre_stop"]
    drain = [word.replace("sleep 3", "true") for word in before_the_end["command"]]
    assert kind == "CMD"
    assert drain != before_the_end["command"]
    async with _envoy(state, tmp_path) as ports:

        async def healthy() -> bool:
            return await _does(ask, ports) == 0

        await eventually(healthy, timeout=30, every=0.1)
        assert await _does(drain, ports) == 0

        async def closed() -> bool:
            return not await healthy()

        await eventually(closed, every=0.1)
