"""A scrub that somebody asked for: what it looks for beside, what it prints, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.local import Local, NotUpError
from cli.progress import Progress
from cli.scrub.memory import Memory, UnderWay, alone
from cli.scrub.outcome import Outcome, show
from cli.scrub.work import STEPS, Scrub
from cli.search import Sought
from deploy.local.state import StateFolder

UNCLEAN, UNREADABLE, NOT_RUNNING = 1, 2, 3
TOLD_TO_END = 128 + signal.SIGTERM


def asked(find: Callable[[], Local], remembers: StateFolder, witnesses: str | None, *, as_json: bool) -> int:
    """Scrub the platform that `find` finds; `remembers` is where it is remembered for the next time.

    `witnesses` is a file of further values, one a line, `-` for standard input. Answers the exit code: 1 if
    something was found or could not be done, 2 if that file can't be read, 3 if nothing runs or another scrub
    does.
    """
    try:
        own = _values_of(witnesses)
    except OSError as error:
        print(f"{witnesses} can't be read: {error.strerror}", file=sys.stderr)
        return UNREADABLE
    try:
        outcome = asyncio.run(_scrub(find(), remembers, own, as_json=as_json))
    except (NotUpError, UnderWay) as reason:
        print(reason, file=sys.stderr)
        return NOT_RUNNING
    show(outcome, as_json=as_json)
    return 0 if outcome.clean else UNCLEAN


async def _scrub(local: Local, remembers: StateFolder, own: list[Sought], *, as_json: bool) -> Outcome:
    progress = Progress(STEPS, sys.stderr if as_json else sys.stdout)
    with ended_when_told(), alone(remembers):
        return await Scrub(local, Memory.of(remembers), progress, own).run()


@contextmanager
def ended_when_told() -> Iterator[None]:
    """SIGTERM cancels what is done in this block, which cleans up after itself, and ends the process.

    At once: what a thread searches is not waited for.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        os._exit(TOLD_TO_END)


def _values_of(file: str | None) -> list[Sought]:
    """Never from the command line, which every process can read. Raises OSError."""
    if file is None:
        return []
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    lines = [line for line in text.splitlines() if line]
    return [Sought(f"line {number}", line) for number, line in enumerate(lines, 1)]
