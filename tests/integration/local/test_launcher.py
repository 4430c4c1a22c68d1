"""`crafiq up` as a person meets it: taken ports, two of them, a killed one, and what is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import nats
import nats.errors
import nats.js.errors
import pytest

from deploy.local.certs import client
from deploy.local.fleet import start_ticks
from tests.processes import alive, family, written_down
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ("openai", "stripe", "smtp")


def _command(state: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        "CRAFIQ_STATE": str(state),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        **settings,
    }
    return {"args": [sys.executable, "-m", "cli", *arguments], "cwd": ROOT, "env": environment}


def _run(state: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = _command(state, *arguments, **settings)
    return subprocess.run(**command, capture_output=True, text=True, timeout=50, check=False)


def _launch(state: Path, said: Path, **settings: str) -> subprocess.Popen[bytes]:
    state.mkdir(exist_ok=True)
    with said.open("wb") as out:
        return subprocess.Popen(
            **_command(state, "up", "--services", "none", **settings), stdout=out, stderr=out
        )


@asynccontextmanager
async def _up(state: Path, **settings: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A launcher of servers and sandbox alone, once it is ready; what it said is in `said.txt`."""
    said = state / "said.txt"
    launcher = _launch(state, said, **settings)
    try:
        await eventually(lambda: "is up" in said.read_text() or launcher.poll() is not None, timeout=40)
        assert launcher.poll() is None, said.read_text()
        yield launcher
    finally:
        if launcher.poll() is None:
            launcher.send_signal(signal.SIGINT)
        await asyncio.to_thread(launcher.wait, 40)


def _endpoints(state: Path) -> dict[str, Any]:
    return dict(json.loads((state / "endpoints.json").read_text()))


@contextmanager
def _occupied(port: int = 0) -> Iterator[int]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_named(tmp_path: Path) -> None:
    with _occupied() as port:
        answer = _run(tmp_path / "state", "up", CRAFIQ_GATEWAY_PORT=str(port))
    assert answer.returncode == 1
    assert f"Port {port}, which CRAFIQ_GATEWAY_PORT asks for, is taken" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "state" / "endpoints.json").exists()


def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    answer = _run(tmp_path / "state", "up", CRAFIQ_GATEWAY_PORT="many")
    assert answer.returncode == 2
    assert "CRAFIQ_GATEWAY_PORT" in answer.stderr


async def test_a_second_launcher_in_the_same_folder_is_told_so(running: Path) -> None:
    answer = await asyncio.to_thread(_run, running, "up")
    assert answer.returncode == 1
    assert f"already running in {running}" in answer.stderr
    assert (running / "endpoints.json").exists()


async def test_status_shows_every_process(running: Path) -> None:
    shown = await asyncio.to_thread(_run, running, "status")
    assert shown.returncode == 0
    names = [line.split()[0] for line in shown.stdout.splitlines() if " running " in line]
    assert set(names) == {"launcher", "postgres", "nats", "s3", *(f"sandbox-{each}" for each in SANDBOX)}


async def test_what_the_endpoints_name_is_there(running: Path) -> None:
    found = _endpoints(running)
    assert (running / "endpoints.json").stat().st_mode & 0o077 == 0
    assert set(found) == {"gateway", "inbox", "sandbox", "postgres", "nats", "s3", "metrics"}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{found['inbox']}/messages", params={"to": "nobody@example.com"}) as answer:
            assert await answer.json() == []
        for path in (f"{found['sandbox']['openai']}/v1/models", f"{found['sandbox']['stripe']}/v1/customers"):
            async with http.get(path) as answer:
                assert answer.status == 401


@pytest.mark.timeout(150)
async def test_down_stops_everything_and_the_state_survives(tmp_path: Path) -> None:
    async with _up(tmp_path) as launcher:
        connection = await asyncpg.connect(_endpoints(tmp_path)["postgres"])
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await connection.close()
        started = family(set(written_down(tmp_path).values()))
        answer = await asyncio.to_thread(_run, tmp_path, "down")
        assert answer.returncode == 0, answer.stderr
        assert await asyncio.to_thread(launcher.wait, 20) == 0
        assert not alive(started)
        assert not (tmp_path / "endpoints.json").exists()
        assert (await asyncio.to_thread(_run, tmp_path, "down")).returncode == 0
    async with _up(tmp_path):
        connection = await asyncpg.connect(_endpoints(tmp_path)["postgres"])
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()


@pytest.mark.timeout(150)
async def test_a_launcher_that_is_killed_leaves_nothing_and_its_successor_finds_the_state(
    tmp_path: Path,
) -> None:
    async with _up(tmp_path) as launcher:
        connection = await asyncpg.connect(_endpoints(tmp_path)["postgres"])
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await connection.close()
        started = family(set(written_down(tmp_path).values()))
        assert len(started) > 10  # PostgreSQL's own children among them
        launcher.kill()
        await asyncio.to_thread(launcher.wait)
    async with _up(tmp_path):  # at once: it waits for what is still ending
        assert not alive(started)
        connection = await asyncpg.connect(_endpoints(tmp_path)["postgres"])
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()


@pytest.mark.parametrize("name", ["postgres", "nats", "s3", "sandbox-smtp"])
async def test_a_process_that_falls_is_started_again(running: Path, name: str) -> None:
    def pid() -> int:
        return written_down(running)[name]

    before = pid()
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: pid() != before and start_ticks(pid()) is not None, timeout=30)
    if name == "postgres":
        await eventually(lambda: _connects(_endpoints(running)["postgres"]), timeout=20)


async def test_a_stream_that_nats_lost_is_made_again_when_it_starts(running: Path) -> None:
    endpoint, tls = _endpoints(running)["nats"], client(running / "tls" / "nats")
    bus = await nats.connect(endpoint, tls=tls)
    await bus.jsm().delete_stream("BILLING")
    os.kill(written_down(running)["nats"], signal.SIGKILL)

    async def is_there() -> bool:
        try:
            return (await bus.jsm().stream_info("BILLING")).config.subjects == ["crafiq.billing.>"]
        except (nats.errors.Error, nats.js.errors.Error):
            return False

    await eventually(is_there, timeout=40)
    await bus.close()


async def _connects(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    state = tmp_path_factory.mktemp("running")
    async with _up(state):
        yield state
