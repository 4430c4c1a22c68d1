"""Whoever reads what the command says may stop reading."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.reader import while_read
from tests.running import ROOT


def test_who_has_read_enough_is_told_nothing_more(tmp_path: Path) -> None:
    """As with `./crafiq status | head -1`."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "cli", "status"],
            cwd=ROOT,
            env={**os.environ, "CRAFIQ_STATE": f"{tmp_path}/state", "PYTHONPATH": f"{ROOT / 'gen'}:{ROOT}"},
            stdout=writes,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writes)
    assert ran.returncode == 141
    assert ran.stderr == b""


def test_a_connection_that_breaks_is_no_reader() -> None:
    def command() -> int:
        raise BrokenPipeError(32, "of a socket")

    with pytest.raises(BrokenPipeError, match="of a socket"):
        while_read(command)
