"""What the launcher does now and then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.local.rounds import AT_LEAST, Rounds
from deploy.local.state import StateFolder
from tests.support import eventually

WRITES = """
import os, sys
open(os.environ["CRAFIQ_STATE"] + "/" + sys.argv[1] + ".json", "a").write("x")
sys.exit(1)
"""
STAYS = "import time; print('here', flush=True); time.sleep(60)"


def test_a_round_comes_so_long_after_the_last_one(tmp_path: Path) -> None:
    rounds = Rounds(StateFolder(tmp_path), print, scrub=86_400, canary=30)
    assert rounds.due_in("scrub", now=1_000_000) == 86_400
    (tmp_path / "scrub.json").touch()
    os.utime(tmp_path / "scrub.json", (1_000_000, 1_000_000))
    assert rounds.due_in("scrub", now=1_003_600) == 82_800
    assert rounds.due_in("scrub", now=9_000_000) == AT_LEAST


async def test_rounds_run_and_what_they_find_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    rounds = Rounds(StateFolder(tmp_path), said.append, (sys.executable, "-c", WRITES), scrub=1, canary=0)
    rounds.begin()
    try:
        await eventually(lambda: said, timeout=15)
    finally:
        await rounds.end()
    assert said[0] == f"The scrub found something: {tmp_path / 'logs' / 'scrub.log'} says what."
    assert (tmp_path / "scrub.json").exists()
    assert not (tmp_path / "canary.json").exists()


async def test_a_round_that_is_under_way_ends_with_the_launcher(tmp_path: Path) -> None:
    rounds = Rounds(StateFolder(tmp_path), print, (sys.executable, "-c", STAYS), scrub=1)
    rounds.begin()
    log = tmp_path / "logs" / "scrub.log"
    await eventually(lambda: log.exists() and log.read_text() == "here\n", timeout=15)
    await rounds.end()
    assert log.stat().st_mode & 0o077 == 0
