"""Scrubs of a running platform."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from cli.api import Json
from tests.running import ROOT, Running


async def scrub(platform: Running, values: Sequence[str]) -> tuple[int, Json]:
    """Scrub it as an operator does, and look for these values as well: the exit code, and what it says."""
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", "scrub", "--json", "--witness-file", "-"],
        cwd=ROOT,
        env={**os.environ, "CRAFIQ_STATE": str(platform.state), "PYTHONPATH": f"{ROOT / 'gen'}:{ROOT}"},
        input="\n".join(values).encode(),
        capture_output=True,
        check=False,
    )
    assert ran.stdout, ran.stderr.decode()
    return ran.returncode, dict(json.loads(ran.stdout))
