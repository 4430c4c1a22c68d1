"""A process of the platform: started, watched, started again if it falls, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

READY_POLL_SECONDS = 0.02
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 10.0
LOG_BYTES = 8 * 1024 * 1024
LOGS_KEPT = 3


class StartFailed(Exception):
    """A process did not get ready; the message has its last words and where to read on."""


@dataclass(frozen=True)
class PosixUser:
    """Whom a process runs as, where it can't run as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """What is run and how one knows that it is ready.

    `environment` is all that it gets. `tries` is how often it may end before it was ever ready.
    `orphan_signal` is what the kernel sends it when the launcher is gone, however that went. `prepare` makes
    in it what others expect, each time that it was started: one that was killed may have lost some of it.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], Awaitable[bool]]
    user: PosixUser | None = None
    port: int | None = None
    ready_seconds: float = 60.0
    drain_seconds: float = 15.0
    tries: int = 1
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    prepare: Callable[[], Awaitable[None]] | None = None


def environment(**own: str) -> dict[str, str]:
    """The little that a process gets from outside (where programs and the home folder are), and its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **own,
    }


@dataclass
class Supervised:
    """One running program. `changed` is called when its process is another one, `announce` with sentences."""

    program: Program
    log: Path
    announce: Callable[[str], None]
    changed: Callable[[], None] = lambda: None
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    _process: Process | None = None
    _watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready; raises StartFailed."""
        rotate(self.log)
        until = time.monotonic() + self.program.ready_seconds
        for attempt in range(self.program.tries):
            process = await self._spawn()
            if await self._ready(process, until):
                if self.program.prepare is not None:
                    await self.program.prepare()
                self._watch = asyncio.create_task(self._keep_running(process))
                return
            if process.returncode is None:
                break
            await asyncio.sleep(min(0.1 * (attempt + 1), 1.0))
        await self.stop()
        raise StartFailed(self._last_words())

    async def stop(self, number: signal.Signals | None = None) -> None:
        """Ask it to end (or send another signal), wait for as long as it may drain, then end it."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        process, self._process, self._watch = self._process, None, None
        if process is None:
            return
        _send(process, number or self.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.program.drain_seconds)
        except TimeoutError:
            self.announce(
                f"{self.program.name} did not end within {self.program.drain_seconds:.0f} s and was killed."
            )
            _send(process, signal.SIGKILL)
            await process.wait()
        self.pid = 0

    async def _spawn(self) -> Process:
        program = self.program
        user = program.user
        with open(self.log, "ab", opener=private) as log:  # noqa: ASYNC230  # needs the opener
            self._process = await asyncio.create_subprocess_exec(
                *program.command,
                cwd=program.folder,
                env=program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the launcher, which drains in order
                umask=0o077,
                preexec_fn=tied_to(os.getpid(), program.orphan_signal),
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        self.pid, self.started = self._process.pid, time.time()
        self.changed()
        return self._process

    async def _ready(self, process: Process, until: float) -> bool:
        while process.returncode is None and time.monotonic() < until:
            if await self.program.ready():
                return True
            await asyncio.sleep(READY_POLL_SECONDS)
        return False

    async def _keep_running(self, process: Process) -> None:
        pause = 0.2
        while True:
            code = await process.wait()
            if time.time() - self.started > STEADY_SECONDS:
                pause = 0.2
            self.announce(
                f"{self.program.name} ended with {code}; it starts again in {pause:.1f} s ({self.log})."
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
            process = await self._spawn()
            await self._prepare_again(process)

    async def _prepare_again(self, process: Process) -> None:
        if self.program.prepare is None:
            return
        try:
            if await self._ready(process, time.monotonic() + self.program.ready_seconds):
                await self.program.prepare()
        except Exception as error:  # it may have fallen again: then it is started and prepared again
            self.announce(f"{self.program.name} may lack something: {type(error).__name__} ({self.log}).")

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        said = "".join(f"\n    {line[:300]}" for line in lines) or " nothing."
        return f"{self.program.name} did not start. Its log ({self.log}) ends with:{said}"


async def together(*starts: Coroutine[Any, Any, None]) -> None:
    """Run all side by side; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for start in starts:
                tasks.create_task(start)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def tied_to(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    """What the child does before it becomes the program: bind its life to the launcher's.

    It runs after the change of user, which would clear the setting. The setting survives exec.
    """

    def tie() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(orphan_signal))
        if os.getppid() != parent:  # the launcher was gone before the setting was made
            os._exit(1)

    return tie


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _send(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def rotate(log: Path) -> None:
    """Keep logs small: called at a start; a large one moves aside, three are kept."""
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    for number in range(LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)
