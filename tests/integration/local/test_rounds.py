"""What the launcher does now and then."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.rounds import SOON, Rounds
from deploy.local.settings import ROOT, LauncherSettings
from deploy.local.state import StateFolder
from tests.support import eventually

WRITES = """
import os, sys
open(os.environ["CRAFIQ_STATE"] + "/" + sys.argv[1] + ".json", "a").write("x")
sys.exit(1)
"""
STAYS = "import time; print('here', flush=True); time.sleep(60)"


BEGAN = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = 3600


def ended(path: Path, *, clean: bool = True) -> None:
    """A round that took ten minutes."""
    told = {
        "began": BEGAN.isoformat(),
        "ended": (BEGAN + timedelta(minutes=10)).isoformat(),
        "clean": clean,
    }
    path.write_text(json.dumps({"last": told, "signatures": {}} if path.stem == "scrub" else told))


def due(rounds: Rounds, name: str) -> timedelta:
    """How long after the last one began."""
    return datetime.fromtimestamp(rounds.due(name), UTC) - BEGAN


@pytest.mark.promise("9-delete-now")
def test_a_round_comes_so_long_after_the_last_one_began(tmp_path: Path) -> None:
    told = LauncherSettings()
    rounds = Rounds(StateFolder(tmp_path), print, scrub=told.scrub_every, canary=told.canary_every)
    ended(tmp_path / "scrub.json")
    ended(tmp_path / "canary.json")
    assert due(rounds, "scrub") == timedelta(hours=20)
    assert due(rounds, "canary") == timedelta(hours=1)


@pytest.mark.promise("9-delete-now")
@pytest.mark.parametrize("name", ["scrub", "canary"])
def test_one_that_found_something_or_could_not_finish_comes_again_within_the_hour(
    tmp_path: Path, name: str
) -> None:
    rounds = Rounds(StateFolder(tmp_path), print, scrub=20 * HOUR, canary=HOUR)
    ended(tmp_path / f"{name}.json", clean=False)
    assert due(rounds, name) == timedelta(minutes=10, seconds=SOON) < timedelta(hours=1)
    ended(tmp_path / f"{name}.json")
    assert due(rounds, name) >= timedelta(hours=1)


@pytest.mark.parametrize("said", [None, "", "{}"])
def test_the_first_one_comes_soon_also_where_nobody_stays_for_long(tmp_path: Path, said: str | None) -> None:
    if said is not None:
        (tmp_path / "scrub.json").write_text(said)
    began = time.time()
    rounds = Rounds(StateFolder(tmp_path), print, scrub=20 * HOUR, canary=5)
    assert began + SOON <= rounds.due("scrub") < began + HOUR
    assert rounds.due("canary") <= time.time() + 5


@pytest.mark.promise("9-delete-now")
def test_the_manual_says_how_often() -> None:
    text = (ROOT / "deploy" / "local" / "README.md").read_text(encoding="utf-8")
    said = re.search(r"`CRAFIQ_SCRUB_EVERY`, `CRAFIQ_CANARY_EVERY` \|.*?: (\d+), (\d+);", text)
    fields = LauncherSettings.model_fields
    assert said is not None
    assert (int(said[1]), int(said[2])) == (fields["scrub_every"].default, fields["canary_every"].default)
    assert fields["scrub_every"].default <= 20 * HOUR
    assert fields["canary_every"].default == HOUR


async def test_rounds_run_and_what_they_find_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    rounds = Rounds(StateFolder(tmp_path), said.append, (sys.executable, "-c", WRITES), scrub=1, canary=0)
    rounds.begin()
    try:
        await eventually(lambda: said, timeout=40)
    finally:
        await rounds.end()
    log = tmp_path / "logs" / "scrub.log"
    assert said[0] == f"The scrub found something, or could not do everything: {log} says what."
    assert (tmp_path / "scrub.json").exists()
    assert not (tmp_path / "canary.json").exists()


async def test_a_round_that_is_under_way_ends_with_the_launcher(tmp_path: Path) -> None:
    rounds = Rounds(StateFolder(tmp_path), print, (sys.executable, "-c", STAYS), scrub=1)
    rounds.begin()
    log = tmp_path / "logs" / "scrub.log"
    await eventually(lambda: log.exists() and log.read_text() == "here\n", timeout=40)
    await rounds.end()
    assert log.stat().st_mode & 0o077 == 0
