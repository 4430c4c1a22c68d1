"""What the launcher does now and then, each time in a process of its own: `crafiq scrub`, `crafiq canary`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from deploy.local.processes import environment, private, rotate, tied_to
from deploy.local.settings import ROOT
from deploy.local.state import StateFolder

COMMAND = (sys.executable, "-m", "cli")
LOOKS = 60.0
"""Seconds between looks whether one is due: machines sleep, and somebody else may have done it meanwhile."""
SOON = 1800.0
"""Seconds until another try."""
FOUND = 1
"""The exit code of a round that found something, or could not do everything."""


class Rounds:
    """Each round writes a file of its name into the state folder at its end, which says how it went."""

    def __init__(
        self,
        state: StateFolder,
        announce: Callable[[str], None],
        command: Sequence[str] = COMMAND,
        **every: int,
    ) -> None:
        self._state, self._announce, self._command = state, announce, command
        self._every = {name: seconds for name, seconds in every.items() if seconds}
        self._since = time.time()
        self._alone = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """From now on."""
        self._tasks = [asyncio.create_task(self._keep(name)) for name in self._every]

    async def end(self) -> None:
        """No more; one that is under way is ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def due(self, name: str) -> float:
        """When the next one is due, as time.time() has it: so long after the last began, whoever ran it; soon
        after its end if it was not clean, or after the launcher's start if none is known."""
        every = self._every[name]
        try:
            said = json.loads((self._state.root / f"{name}.json").read_text(encoding="utf-8"))
            last = said.get("last", said)  # a scrub remembers more than how it ended
            began, ended = (datetime.fromisoformat(last[at]).timestamp() for at in ("began", "ended"))
            clean = last["clean"]
        except (OSError, ValueError, KeyError):
            return self._since + min(SOON, every)
        return began + every if clean else ended + min(SOON, every)

    async def _keep(self, name: str) -> None:
        while True:
            await asyncio.sleep(min(LOOKS, self._every[name]))
            if time.time() < self.due(name):
                continue
            async with self._alone:
                code = await self._run(name)
            if code == FOUND:
                log = self._state.root / "logs" / f"{name}.log"
                self._announce(f"The {name} found something, or could not do everything: {log} says what.")

    async def _run(self, name: str) -> int:
        log = self._state.folder("logs") / f"{name}.log"
        rotate(log)
        process = await self._spawn(name, log)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()
            raise

    async def _spawn(self, name: str, log: Path) -> asyncio.subprocess.Process:
        told = environment(CRAFIQ_STATE=str(self._state.root), PYTHONPATH=f"{ROOT}:{ROOT / 'gen'}")
        with open(log, "ab", opener=private) as out:  # noqa: ASYNC230  # needs the opener
            return await asyncio.create_subprocess_exec(
                *self._command, name,
                cwd=ROOT, env=told, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, umask=0o077,
                start_new_session=True, preexec_fn=tied_to(os.getpid(), signal.SIGKILL),
            )  # fmt: skip
