"""The platform as its launcher runs it: who listens where, and what happens when something falls."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from cli.api import ApiRefused
from tests.e2e.conftest import Join, Running
from tests.processes import alive, family, written_down
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"identity", "assets", "generation", "billing", "privacy"}


def test_everything_runs(platform: Running) -> None:
    assert SERVICES | {"gateway", "postgres", "nats", "s3"} < set(written_down(platform.state))


def test_nobody_else_can_read_keys_or_endpoints(platform: Running) -> None:
    private = [p for name in ("secrets", "tls", "logs", "traces") for p in (platform.state / name).rglob("*")]
    for path in (platform.state / "endpoints.json", *platform.state.iterdir(), *private):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0 or path.name == "up.log", f"{path} has mode {mode:o}"


@pytest.mark.parametrize("name", ["billing", "gateway"])
async def test_what_falls_comes_back(platform: Running, join: Join, name: str) -> None:
    person = await join()
    before = written_down(platform.state)[name]
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: written_down(platform.state)[name] != before, timeout=20)

    async def serves_again() -> bool:
        try:
            order = await person.order("a bell")
        except (aiohttp.ClientError, ApiRefused):
            return False
        return (await person.finished(order["name"]))["state"] == "SUCCEEDED"

    await eventually(serves_again, timeout=20)


@pytest.mark.slow
async def test_a_killed_launcher_leaves_nothing_of_the_whole_platform(tmp_path: Path) -> None:
    environment = {**os.environ, "CRAFIQ_STATE": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    launcher = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        "up",
        "--with-parent",
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        await eventually((tmp_path / "endpoints.json").exists, timeout=55)
        members = family(set(written_down(tmp_path).values()))
        assert len(members) > 20
    finally:
        launcher.kill()
        await launcher.wait()
    await eventually(lambda: not alive(members), timeout=5)
