"""The platform as its launcher runs it: who listens where, and what happens when something falls."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from cli.__main__ import main
from cli.api import ApiRefused
from cli.local import Local
from deploy.local.infra import SERVICES
from deploy.local.state import StateFolder
from tests.e2e.conftest import Join, Running
from tests.e2e.remains import database_of
from tests.processes import alive, family, written_down
from tests.support import eventually
from tools.documents import EVERY_PROCESS, listeners

ROOT = Path(__file__).resolve().parents[2]
VERSIONED = ("Crafiq", "PostgreSQL", "NATS", "Envoy", "SeaweedFS")


STANDARD = {"sweep inbox", "sweep requests", "sweep dead_letters", "sweep tombstones"}
JOBS = {
    "identity": {
        *("purge-unverified-and-links", "expire-sessions", "give-up-mails", "security-log-retention"),
        *("announce-again", "peppers"),
        *("sweep retained_names", "sweep retained_security_log", "sweep retained_farewells"),
    },
    "assets": {
        *("quarantine", "library", "public", "idle assets", "blend public works"),
        *("renderings given up", "renderings overlooked"),
    },
    "generation": {"recovery", "forget outcomes", "vendor copies"},
    "billing": {"expire lots", "settle stale holds", "sweep closed books", "close customers"},
    "privacy": {"old plans", "ledger"},
}
"""What each does when time passes, beside STANDARD."""


def test_everything_runs(platform: Running) -> None:
    assert {*SERVICES, "gateway", "postgres", "nats", "s3"} < set(written_down(platform.state))


@pytest.mark.parametrize("service", JOBS)
async def test_what_time_makes_due_is_done(platform: Running, service: str) -> None:
    sql = await asyncpg.connect(database_of(platform, service))
    try:

        async def on_time() -> bool:
            known = await sql.fetch("SELECT name, due > now() - interval '1 minute' FROM leases")
            assert dict(known) == dict.fromkeys(JOBS[service] | STANDARD, True)
            return True

        await eventually(on_time)
    finally:
        await sql.close()


async def test_the_map_names_everyone_who_asks_the_bus_for_an_event(platform: Running) -> None:
    asked: dict[str, set[str]] = defaultdict(set)
    async with Local.find(StateFolder(platform.state)).bus() as bus:
        for stream in await bus.jsm().streams_info():
            for consumer in await bus.jsm().consumers_info(stream.config.name or ""):
                of = consumer.config
                for subject in of.filter_subjects or [of.filter_subject or ""]:
                    asked[subject.removesuffix(".*")].add(of.durable_name or EVERY_PROCESS)
    assert asked == {event: set(heard) for event, heard in listeners().items()}


def test_nobody_else_can_read_keys_or_endpoints(platform: Running) -> None:
    private = [p for name in ("secrets", "tls", "logs", "traces") for p in (platform.state / name).rglob("*")]
    for path in (platform.state / "endpoints.json", *platform.state.iterdir(), *private):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0 or path.name == "up.log", f"{path} has mode {mode:o}"


def _restarts(platform: Running) -> dict[str, int]:
    processes = json.loads((platform.state / "processes.json").read_text())
    return {each["name"]: each["restarts"] for each in processes}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["billing", "gateway"])
async def test_what_falls_comes_back_and_status_says_so(
    platform: Running,
    join: Join,
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = await join()
    before, restarts = written_down(platform.state)[name], _restarts(platform)
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: written_down(platform.state)[name] != before, timeout=20)

    async def serves_again() -> bool:
        try:
            order = await person.order("a bell")
            return (await person.finished(order["name"])).get("state") == "SUCCEEDED"
        except (aiohttp.ClientError, ApiRefused, TimeoutError):
            return False

    await eventually(serves_again, timeout=60)
    monkeypatch.setenv("CRAFIQ_STATE", str(platform.state))
    assert await asyncio.to_thread(main, ["status"]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    running = {words[0]: words for words in said if words[1:2] == ["running"]}
    assert {*SERVICES, "gateway", "launcher"} < set(running)
    assert {each: int(running[each][-1]) for each in restarts} == {**restarts, name: restarts[name] + 1}
    schemas = {words[0] for words in said if re.fullmatch(r"[a-z]+ \d{4} \d+ \d+", " ".join(words))}
    assert schemas == set(SERVICES)
    versions = next(" ".join(words) for words in said if words[:1] == ["Versions"])
    assert re.fullmatch("Versions " + ", ".join(rf"{part} \d+(\.\d+)+" for part in VERSIONED), versions)


@pytest.mark.slow
@pytest.mark.timeout(150)
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
        await eventually((tmp_path / "endpoints.json").exists, timeout=90)
        members = family(set(written_down(tmp_path).values()))
        assert len(members) > 20
    finally:
        launcher.kill()
        await launcher.wait()
    await eventually(lambda: not alive(members))
