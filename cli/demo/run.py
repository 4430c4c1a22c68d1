"""`crafiq demo`: start the platform if it is not up, run the story, write the report."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from cli.api import Api, ApiRefused
from cli.demo import leaving, leftovers, report
from cli.demo.story import STEPS, DemoFailed, Story
from cli.local import Local, NotUpError
from cli.progress import Progress
from deploy.local.state import StateFolder

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROMPT = "A lighthouse on a cliff at dawn, as a woodcut"


def state_folder() -> Path:
    """Where the platform keeps its state: `$CRAFIQ_STATE`, or `.crafiq` in the project."""
    return Path(os.environ.get("CRAFIQ_STATE", ROOT / ".crafiq"))


async def demo(file: Path, prompt: str) -> int:
    """Run the main job on `file`; answers the exit code: 0 only if every step really happened."""
    if not await asyncio.to_thread(file.is_file):
        print(f"There is no file {file}. Name one: make demo FILE=path/to/picture.jpg", file=sys.stderr)
        return 2
    began = time.monotonic()
    state = state_folder()
    async with _platform(state) as endpoints:
        if endpoints is None:
            print(f"The platform did not start; its logs are in {state / 'logs'}.", file=sys.stderr)
            return 1
        print(f"The platform is up at {endpoints['gateway']}  ({time.monotonic() - began:.1f} s)")
        return await _tell(endpoints, state, file, prompt)


@asynccontextmanager
async def _platform(state: Path) -> AsyncIterator[dict[str, str] | None]:
    """The endpoints of the platform: one that is up already, or one that lives as long as the demo."""
    running = await _endpoints(state)
    if running is not None:
        yield running
        return
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "up", "--with-parent", cwd=ROOT
    )
    try:
        while launcher.returncode is None and (running := await _endpoints(state)) is None:
            await asyncio.sleep(0.1)  # another process writes the file
        yield running
    finally:
        if launcher.returncode is None:
            launcher.send_signal(signal.SIGINT)
            await launcher.wait()


async def _endpoints(state: Path) -> dict[str, str] | None:
    """What `up` wrote, if a gateway answers there."""
    try:
        text = await asyncio.to_thread((state / "endpoints.json").read_text)
        endpoints: dict[str, str] = json.loads(text)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
            http.get(f"{endpoints['gateway']}/healthz") as answer,
        ):
            return endpoints if answer.status == 200 else None
    except (OSError, ValueError, aiohttp.ClientError, TimeoutError):
        return None


async def _tell(endpoints: dict[str, str], state: Path, file: Path, prompt: str) -> int:
    out = StateFolder(state).folder("demo") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    progress = Progress(STEPS + leaving.STEPS + leftovers.STEPS)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        api = Api(http, endpoints["gateway"])
        story = Story(api, endpoints["inbox"], out, progress)
        try:
            local = Local.find(StateFolder(state))
            search = leftovers.Leftovers(local, http, progress, story.gives(file, prompt))
            await search.anyones()
            seen = await story.run(file, prompt)
            await search.alive()
            left = await leaving.Leaving(api, story.password, out, progress).run(seen)
            left.searched = await search.gone()
        except (ApiRefused, DemoFailed, NotUpError, aiohttp.ClientError, TimeoutError) as failure:
            print(f"\nThe demo stopped: {str(failure) or type(failure).__name__}", file=sys.stderr)
            print(f"Logs: {state / 'logs'}", file=sys.stderr)
            return 1
    page = report.write(seen, left, out, progress)
    print(f"\nEverything happened, in {progress.seconds:.1f} s.")
    print(f"  Pictures  {out}\n  Report    {page}\n  Logs      {state / 'logs'}")
    return 0
