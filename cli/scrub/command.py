"""`crafiq scrub`: now, on demand, or as the launcher starts it each day."""

from __future__ import annotations

from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local
from cli.scrub.asked import asked
from deploy.local.state import StateFolder


def run(witnesses: str | None, *, as_json: bool) -> int:
    """Scrub the platform of this state folder; answers the exit code (`asked`)."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    state = StateFolder(told.state)
    return asked(lambda: Local.find(state), state, witnesses, as_json=as_json)
