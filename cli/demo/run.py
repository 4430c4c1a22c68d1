"""`python -m cli demo`: start the platform if it is not up, run the story, write the report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from cli.demo import report
from cli.demo.api import Api, ApiRefused
from cli.demo.progress import Progress
from cli.demo.story import STEPS, DemoFailed, Story

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROMPT = "A lighthouse on a cliff at dawn, as a woodcut"
EXAMPLES = ("astronaut-with-gps.jpg", "coffee.png")


def default_file() -> Path:
    """The example photo: `$CRAFIQ_TEST_DATA`, or shared/data beside the project."""
    folder = Path(os.environ.get("CRAFIQ_TEST_DATA", ROOT.parent / "shared" / "data"))
    return folder / EXAMPLES[0]


async def demo(file: Path, prompt: str) -> int:
    """Run the main job on `file`; answers the exit code: 0 only if every step really happened."""
    if not file.is_file():
        print(f"There is no file {file}. Name one: make demo FILE=path/to/picture.jpg", file=sys.stderr)
        return 2
    began = time.monotonic()
    async with _platform() as (endpoints, state):
        print(f"The platform is up at {endpoints['gateway']}  ({time.monotonic() - began:.2f} s)")
        return await _story(endpoints, state, file, prompt)


async def _story(endpoints: dict[str, str], state: Path, file: Path, prompt: str) -> int:
    out = state / "demo" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    progress = Progress(STEPS)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        story = Story(Api(http, endpoints["gateway"]), endpoints["inbox"], out, progress)
        try:
            seen = await story.run(file, prompt)
        except (ApiRefused, DemoFailed, aiohttp.ClientError, TimeoutError) as failure:
            print(f"\nThe demo stopped: {failure or type(failure).__name__}", file=sys.stderr)
            print(f"Logs: {state / 'logs'}", file=sys.stderr)
            return 1
    page = report.write(seen, out, progress.seconds, progress.timings)
    print(f"\nEverything happened, in {progress.seconds:.1f} s.")
    print(f"  Pictures  {out}\n  Report    {page}\n  Logs      {state / 'logs'}")
    return 0
