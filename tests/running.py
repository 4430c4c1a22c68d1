"""Servers for tests, and one whole platform for all that want one: the processes that `make up` starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from deploy.local.infra import Infra

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS, STOPPED_SECONDS = 60, 30


@dataclass(frozen=True)
class Running:
    """A platform that is up: its endpoints (API.md, "The local runtime") and its state folder."""

    endpoints: dict[str, Any]
    state: Path
    process: subprocess.Popen[bytes]

    @property
    def gateway(self) -> str:
        return str(self.endpoints["gateway"])

    def stop(self) -> None:
        """As Ctrl-C does: everything under way ends, everything buffered is written."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOPPED_SECONDS)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("platform")) as running:
        yield running


@contextmanager
def started(state: Path) -> Iterator[Running]:
    """A platform with its state in this folder, stopped when the block ends."""
    environment = {
        **os.environ,
        "CRAFIQ_STATE": str(state),
        "PYTHONPATH": f"{ROOT / 'gen'}:{ROOT}",
        # All people of all tests come from one address.
        "CRAFIQ_GATEWAY_LIMIT_FACTOR": "50",
    }
    with (state / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--with-parent"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield Running(_wait_until_ready(state, process), state, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOPPED_SECONDS)


def _wait_until_ready(state: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    until = monotonic() + READY_SECONDS
    endpoints = state / "endpoints.json"
    while monotonic() < until:
        if endpoints.exists():
            return dict(json.loads(endpoints.read_text()))
        with_exit = process.poll()
        assert with_exit is None, f"`up` ended with {with_exit}:\n{(state / 'up.log').read_text()[-4000:]}"
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"Not ready after {READY_SECONDS} s:\n{(state / 'up.log').read_text()[-4000:]}")


@asynccontextmanager
async def servers() -> AsyncIterator[Infra]:
    """PostgreSQL, NATS and S3, in a folder of their own that goes with them."""
    folder = Path(tempfile.mkdtemp(prefix="crafiq-test-"))
    try:
        async with Infra(folder) as infra:
            yield infra
            await infra.fleet.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
