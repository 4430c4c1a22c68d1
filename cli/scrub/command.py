"""`crafiq scrub`: now, on demand, or as the launcher starts it each day."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError, print_table
from cli.progress import Progress
from cli.scrub.memory import Memory, UnderWay, alone
from cli.scrub.outcome import Outcome
from cli.scrub.work import STEPS, Scrub
from cli.search import Sought
from deploy.local.state import StateFolder

NOT_RUNNING = 3


def run(witnesses: str | None, *, as_json: bool) -> int:
    """Scrub; `witnesses` is a file of further values, one a line, `-` for standard input.

    Answers the exit code: 1 if something was found or could not be done, 3 if nothing runs.
    """
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    try:
        own = _own(witnesses)
    except OSError as error:
        print(f"{witnesses} can't be read: {error.strerror}", file=sys.stderr)
        return WRONG_SETTINGS
    try:
        outcome = asyncio.run(scrub(StateFolder(told.state), own, as_json=as_json))
    except (NotUpError, UnderWay) as reason:
        print(reason, file=sys.stderr)
        return NOT_RUNNING
    show(outcome, as_json=as_json)
    return 0 if outcome.clean else 1


async def scrub(state: StateFolder, own: list[Sought], *, as_json: bool) -> Outcome:
    """Scrub the platform of this folder. Raises NotUpError, UnderWay."""
    local = Local.find(state)
    progress = Progress(STEPS, sys.stderr if as_json else sys.stdout)
    with alone(state):
        return await Scrub(local, Memory.of(state), progress, own).run()


def show(outcome: Outcome, *, as_json: bool) -> None:
    """Print what came of it."""
    if as_json:
        print(json.dumps(outcome.as_json(), indent=1))
        return
    print()
    print_table(list(outcome.as_table()), left=1)
    print()
    for line in outcome.details():
        print(line)
    print("Nothing of it is left." if outcome.clean else "This scrub proves nothing yet.")


def _own(witnesses: str | None) -> list[Sought]:
    """Values from outside; never from the command line, which every process on the machine can read."""
    if witnesses is None:
        return []
    text = sys.stdin.buffer.read() if witnesses == "-" else Path(witnesses).read_bytes()
    lines = [line for line in text.splitlines() if line]
    return [Sought(f"line {number}", line) for number, line in enumerate(lines, 1)]
