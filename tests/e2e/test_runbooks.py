"""The commands of the runbooks, tried on a running platform before somebody needs them at night."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import yaml
from sqlalchemy import Table

from deploy.local.infra import SERVICES
from promises.inventory import Plain, declared
from tests.processes import command_line, family
from tests.running import Running
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
SAMPLE = {"ID": "x", "GENERATION": "00000000-0000-0000-0000-000000000000", "NAME": "x"}


def _queries() -> Iterator[tuple[str, str, str]]:
    """Page, database and statement of each `sql` command; SERVICE stands for every service."""
    for page in sorted(RUNBOOKS.glob("*.md")):
        text = " ".join(page.read_text(encoding="utf-8").split())
        for database, query in re.findall(r'`sql ([a-zA-Z]+) "([^"]+)"', text):
            for name in SERVICES if database == "SERVICE" else [database]:
                yield page.stem, name, re.sub(r"'([A-Z]+)'", _sampled, query)


def _sampled(match: re.Match[str]) -> str:
    return f"'{SAMPLE.get(match[1], match[1])}'"


QUERIES = sorted(set(_queries()))


@pytest.mark.parametrize(("page", "database", "query"), QUERIES, ids=[f"{p}-{d}" for p, d, _ in QUERIES])
async def test_every_query_of_a_runbook_is_one(
    page: str, database: str, query: str, platform: Running
) -> None:
    dsn = platform.endpoints["postgres"].replace("/postgres?", f"/{database}?")
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"EXPLAIN {query}")
    finally:
        await connection.close()


def _tables(service: str) -> dict[str, Table]:
    row = importlib.import_module(f"services.{service}.domain").Row
    return dict(row.metadata.tables)


@pytest.mark.promise("8-no-view")
@pytest.mark.parametrize(("page", "database", "query"), QUERIES, ids=[f"{p}-{d}" for p, d, _ in QUERIES])
def test_no_query_of_a_runbook_looks_at_a_person(page: str, database: str, query: str) -> None:
    words = set(re.findall(r"\b\w+\b(?!\()", query))
    tables = _tables(database) if database in SERVICES else {}
    for table in (tables[name] for name in words & set(tables)):
        personal = {column.name for column in table.columns if not isinstance(declared(column), Plain)}
        assert not words & personal, f"{page} names {words & personal} of {table.name}"
    assert "*" not in query.replace("count(*)", "")


def test_there_are_queries_to_check() -> None:
    assert {page for page, _, _ in QUERIES} >= {"HoldsStale", "DeadLetters", "MailWaits", "OutcomesUnknown"}


def _block(word: str) -> str:
    """What an operator pastes: CRAFIQ_STATE is in that for one machine, docker in that for containers."""
    blocks = re.findall(r"```sh\n(.*?)```", (RUNBOOKS / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if word in block)


def _said(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """By a shell that knows nothing, not even where our packages are."""
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ('sql billing "SELECT count(*) FROM outbox"', r"\(1 row\)"),
        ("metrics privacy crafiq_dead_letters", r"^crafiq_dead_letters 0\.0$"),
        ("metrics billing crafiq_certificate_ends", r"_timestamp_seconds 1\.\d+e\+09$"),
        ("metrics generation crafiq_relay_caught_up", r"_timestamp_seconds 1\.\d+e\+09$"),
        ("metrics assets 'crafiq_consumer_caught_up.*IDENTITY'", r" 1\.\d+e\+09$"),
        ("logs identity 1000", r"identity serves on"),
        ("metrics privacy crafiq_scrub_clean_timestamp_seconds", r"_timestamp_seconds 1\.\d+e\+09$"),
        ("metrics privacy crafiq_erasures_unscrubbed", r"^crafiq_erasures_unscrubbed 0\.0$"),
        ("openssl x509 -enddate -noout -in $S/tls/billing/tls.crt", r"^notAfter="),
        ("./crafiq status", r"^launcher +running"),
        ("./crafiq dead-letters list", r"dead letter"),
        ("cd /; $OLDPWD/crafiq tombstones list", r"tombstones stand|[Nn]obody"),
    ],
)
def test_the_commands_of_the_runbooks_say_something(command: str, answer: str, platform: Running) -> None:
    said = _said(f"{_block('CRAFIQ_STATE')}\n{command}", CRAFIQ_STATE=str(platform.state))
    assert re.search(answer, said.stdout, re.MULTILINE), said.stdout + said.stderr


# What runs in a container there runs here, and asks HERE whomever it asks there.
DOCKER = 'docker() { echo "in $4" >&2; shift 4; set -- "${@:1:$#-1}" "$HERE"; "$@"; }'


@pytest.mark.parametrize("name", ["gateway", "privacy"])
def test_in_containers_somebody_with_python_asks_for_metrics(name: str, platform: Running) -> None:
    here = platform.endpoints["metrics"]["privacy"].removeprefix("https://").removesuffix("/metrics")
    tls = str(platform.state / "tls" / "privacy")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    script = f"{_block('docker')}\n{DOCKER}\nmetrics {name} crafiq_dead_letters"
    said = _said(script, PATH=path, CRAFIQ_TLS_DIR=tls, HERE=here)
    assert re.search("^crafiq_dead_letters 0", said.stdout, re.MULTILINE), said.stderr
    container = said.stderr.strip().removeprefix("in ")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert compose["services"][container]["build"]["target"] == "service"
    assert set(compose["services"][container]["networks"]) & set(compose["services"][name]["networks"])


def test_the_command_line_says_what_to_do_before_it_is_set_up(tmp_path: Path) -> None:
    shutil.copy(ROOT / "crafiq", tmp_path)
    said = _said(f"{tmp_path}/crafiq status")
    assert said.returncode == 1
    assert "`make setup` makes it" in said.stderr


@contextmanager
def _typed(command: str, platform: Running) -> Iterator[subprocess.Popen[str]]:
    """A shell in which this was typed after the block."""
    with subprocess.Popen(
        ["bash", "-c", f"{_block('CRAFIQ_STATE')}\n{command}; exit"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "CRAFIQ_STATE": str(platform.state)},
    ) as shell:  # fmt: skip
        yield shell


@pytest.mark.promise("8-secrets")
async def test_no_command_line_of_a_runbook_shows_a_password(platform: Running) -> None:
    password = (platform.state / "secrets" / "postgres" / "postgres").read_text()
    assert password in platform.endpoints["postgres"]
    with _typed('sql postgres "SELECT pg_sleep(30)"', platform) as shell:
        lines: set[str] = set()

        def asks() -> bool:
            lines.update(command_line(pid) for pid in family({shell.pid}))
            return any("pg_sleep" in line and "/psql" in line.split()[0] for line in lines)

        await eventually(asks, timeout=30, every=0.001)
        for pid in family({shell.pid}):
            os.kill(pid, signal.SIGKILL)
    assert not [line for line in lines if password in line]
