"""Time, passed in."""

from __future__ import annotations

from datetime import UTC, datetime


class Clock:
    """The wall clock; tests pass one that they move (`tests.support.FakeClock`)."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""
        return datetime.now(UTC)
