"""`./crafiq dead-letters` and `crafiq status`, as an operator uses them, on a service that runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from chassis.deadletters import DeadLetter, bury, dead_letters
from deploy.local.infra import Infra
from deploy.local.state import write_private
from services.privacy.domain import Document, DocumentKind
from services.privacy.repository import Documents
from tests.integration.in_process import Neighbours
from tests.integration.privacy.conftest import Sql, verified
from tests.support import eventually

pytestmark = pytest.mark.timeout(240)  # each command is a Python of its own
ROOT = Path(__file__).resolve().parents[3]
Said: TypeAlias = "subprocess.CompletedProcess[str]"
Crafiq: TypeAlias = Callable[..., Awaitable[Said]]


async def command(state: Path, *arguments: str) -> Said:
    environment = {**os.environ, "CRAFIQ_STATE": str(state), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    command = [sys.executable, "-m", "cli", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50
    )


@pytest.fixture
async def crafiq(infra: Infra, privacy: Neighbours) -> AsyncIterator[Crafiq]:
    """The command, on these servers as if `crafiq up` had started them."""
    told = {
        "gateway": "http://localhost:1",
        "inbox": "http://localhost:2",
        "postgres": infra.postgres.admin_dsn,
        "nats": infra.nats.admin_url,
    }
    write_private(infra.state.endpoints, json.dumps(told))
    yield lambda *arguments: command(infra.state.root, *arguments)
    infra.state.endpoints.unlink()


@pytest.fixture
async def dead(privacy: Neighbours, sql: Sql) -> str:
    """A person agreed to terms that were never posted, says identity: privacy can't note that."""
    await sql.execute("DELETE FROM dead_letters")
    terms = f"test-{uuid4().hex[:8]}"
    message = await privacy.announce("identity", verified(uuid4(), terms=terms))

    async def died() -> bool:
        return any(letter.message_id == message for letter in await dead_letters(privacy.service.db))

    await eventually(died, timeout=40)
    return message


async def terms_of(privacy: Neighbours, message: str) -> str:
    from crafiq.identity.v1 import events_pb2  # noqa: PLC0415

    [letter] = [each for each in await dead_letters(privacy.service.db) if each.message_id == message]
    return str(events_pb2.AccountVerified.FromString(letter.payload).terms_version)


async def test_a_dead_letter_is_listed_and_shown(crafiq: Crafiq, dead: str) -> None:
    listed = await crafiq("dead-letters", "list")
    assert listed.returncode == 0, listed.stderr
    [line] = [line for line in listed.stdout.splitlines() if dead in line]
    assert "PAIR_UNKNOWN" in line
    assert "crafiq.identity.v1.AccountVerified" in line
    shown = await crafiq("dead-letters", "show", dead)
    assert shown.returncode == 0
    assert '"account": "accounts/' in shown.stdout
    assert "privacy could not handle it: PAIR_UNKNOWN" in shown.stdout
    elsewhere = await crafiq("dead-letters", "list", "--service", "privacy")
    assert dead in elsewhere.stdout


async def test_a_replay_says_what_came_of_it(crafiq: Crafiq, privacy: Neighbours, dead: str) -> None:
    again = await crafiq("dead-letters", "replay", dead)
    assert again.returncode == 1
    assert f"{dead} privacy failed again: PAIR_UNKNOWN" in again.stdout
    posted = Document(
        kind=DocumentKind.TERMS,
        version=await terms_of(privacy, dead),
        text="Terms.",
        sha256="0" * 64,
        effective_at=datetime(2020, 1, 1, tzinfo=UTC),
        material=False,
    )
    await Documents(privacy.service.db).post([posted])
    unsent, subject = f"unsent:{uuid4()}", f"crafiq.privacy.v1.Nothing.{uuid4()}"
    await bury(privacy.service.db, DeadLetter(unsent, subject, b"", "too large", 10, datetime.now(UTC)))
    assert "privacy could not send it: too large" in (await crafiq("dead-letters", "show", unsent)).stdout
    repaired = await crafiq("dead-letters", "replay", "--all", "--service", "privacy")
    assert (repaired.returncode, f"{dead} privacy handled it" in repaired.stdout) == (0, True)
    assert f"{unsent} privacy sends it again" in repaired.stdout
    assert await dead_letters(privacy.service.db) == []
    assert dead not in (await crafiq("dead-letters", "list")).stdout


async def test_what_is_not_there_is_said_with_what_to_do(crafiq: Crafiq, tmp_path: Path) -> None:
    unknown = await crafiq("dead-letters", "show", "nothing")
    assert unknown.returncode == 1
    assert "`./crafiq dead-letters list` shows them" in unknown.stdout
    assert (await crafiq("dead-letters", "replay")).returncode == 2
    down = await command(tmp_path, "dead-letters", "list")
    assert down.returncode == 3
    assert "`make up` starts it" in down.stderr


async def test_status_counts_what_waits(crafiq: Crafiq, dead: str) -> None:
    said = await crafiq("status")
    assert said.returncode == 0, said.stdout + said.stderr
    lines = [line.split() for line in said.stdout.splitlines()]
    [privacy] = [line for line in lines if line[:1] == ["privacy"]]
    assert privacy[-1] == "1"
    [queue] = [line for line in lines if line[:2] == ["IDENTITY", "privacy"]]
    assert int(queue[2]) >= 1
    assert queue[3:5] == ["0", "0"]
    [versions] = [line for line in said.stdout.splitlines() if line.startswith("Versions Crafiq ")]
    assert ", NATS 2." in versions
    assert ", PostgreSQL 18." in versions
