"""`make demo`, from its first step to its last, on a platform that is up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.running import ROOT, Running

WARM_SECONDS = 45


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.promise("9-delete-now", "9-delete-preview")
def test_the_demo_ends_with_a_deletion_that_leaves_nothing_and_in_time(platform: Running) -> None:
    began = monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "demo"],
        cwd=ROOT,
        env={**os.environ, "CRAFIQ_STATE": str(platform.state), "PYTHONPATH": f"{ROOT / 'gen'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = ran.stdout
    assert ran.returncode == 0, said + ran.stderr
    assert monotonic() - began < WARM_SECONDS
    assert "✗" not in said
    searched = re.search(r"searched ([\d,]+) rows, ([\d,]+) objects, ([\d,]+) bytes .*: nothing", said)
    assert searched, said
    assert all(int(amount.replace(",", "")) > 0 for amount in searched.groups()), searched[0]
    report = re.search(r"Report +(\S+)", said)
    assert report, said
    page = Path(report[1])
    assert page.is_relative_to(platform.state)
    assert "Searched for what they gave" in page.read_text(encoding="utf-8")
    assert (page.parent / "receipt.jws").is_file()
