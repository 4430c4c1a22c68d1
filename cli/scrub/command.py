"""`crafiq scrub`: now, on demand, or as the launcher starts it each day."""

from __future__ import annotations

import asyncio
import sys

from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError
from cli.scrub.memory import UnderWay
from cli.scrub.outcome import show
from cli.scrub.witnesses import values_of
from cli.scrub.work import scrub
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
        own = values_of(witnesses)
    except OSError as error:
        print(f"{witnesses} can't be read: {error.strerror}", file=sys.stderr)
        return WRONG_SETTINGS
    try:
        state = StateFolder(told.state)
        outcome = asyncio.run(scrub(Local.find(state), state, own, as_json=as_json))
    except (NotUpError, UnderWay) as reason:
        print(reason, file=sys.stderr)
        return NOT_RUNNING
    show(outcome, as_json=as_json)
    return 0 if outcome.clean else 1
