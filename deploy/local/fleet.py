"""All processes of one platform: what runs, on paper too, for a launcher that comes after this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deploy.local.ports import Ports
from deploy.local.processes import Program, Supervised
from deploy.local.state import StateFolder, write_private

LEFTOVER_SECONDS = 10.0
ZOMBIE = "Z"


def start_ticks(pid: int) -> int | None:
    """When a process began, in the kernel's ticks since boot; None if there is no such process (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == ZOMBIE else int(fields[19])


class Fleet:
    """Starts and stops the processes of a platform and keeps `processes.json` true."""

    def __init__(self, state: StateFolder, announce: Callable[[str], None]) -> None:
        self._state, self._announce = state, announce
        self._members: dict[str, Supervised] = {}

    def __iter__(self) -> Iterator[Supervised]:
        return iter(self._members.values())

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> Supervised:
        return self._members[name]

    async def run(self, program: Program, ports: Ports, *held: str) -> None:
        """Let go of the ports that it has and start it; raises StartFailed."""
        log = self._state.folder("logs") / f"{program.name}.log"
        member = Supervised(program, log, self._announce, self._write)
        self._members[program.name] = member
        ports.release(*held)
        began = time.monotonic()
        await member.start()
        self._announce(f"  ✓ {program.name:<16} {time.monotonic() - began:5.1f} s")

    async def stop(self, *names: str) -> None:
        """Stop these, or all, side by side."""
        members = [self._members.pop(name) for name in names or list(self._members) if name in self._members]
        await asyncio.gather(*(member.stop() for member in members))
        self._write()

    async def kill(self) -> None:
        """End all at once: for those whose state nobody needs any more."""
        await asyncio.gather(*(member.stop(signal.SIGKILL) for member in self))
        self._members.clear()
        self._write()

    async def await_leftovers(self) -> None:
        """Wait until nothing is left of an earlier launcher that was killed; the kernel is ending it.

        What is still there after ten seconds is killed, if it is the process that was written down.
        """
        left = self._leftovers()
        if left:
            self._announce("An earlier launcher was killed; waiting for what it started to end.")
        until = time.monotonic() + LEFTOVER_SECONDS
        while left and time.monotonic() < until:
            await asyncio.sleep(0.05)
            left = self._leftovers()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _leftovers(self) -> list[int]:
        try:
            written: list[dict[str, Any]] = json.loads(self._state.processes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [entry["pid"] for entry in written if start_ticks(entry["pid"]) == entry["ticks"]]

    def _write(self) -> None:
        entries = [
            {
                "name": member.program.name,
                "pid": member.pid,
                "ticks": start_ticks(member.pid),
                "port": member.program.port,
                "restarts": member.restarts,
                "log": str(member.log),
            }
            for member in self
            if member.pid
        ]
        write_private(self._state.processes, json.dumps(entries, indent=1))
