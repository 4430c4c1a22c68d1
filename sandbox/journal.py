"""What a stand-in received, for tests that look for what should never have been sent."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, Protocol, TypeVar

KEPT = 1000


class Row(Protocol):
    """One request and what became of it."""

    def described(self) -> dict[str, Any]:
        """As `GET /sandbox/requests` shows it."""
        ...


R = TypeVar("R", bound=Row)


class Journal(Generic[R]):
    """The last thousand requests since the start or the last clearing."""

    def __init__(self) -> None:
        self.clear()

    def note(self, row: R) -> R:
        """A request that has just come."""
        self._rows.append(row)
        self.total += 1
        return row

    def clear(self) -> None:
        """Forget all rows and counters."""
        self._rows: deque[R] = deque(maxlen=KEPT)
        self.total = 0

    def listed(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [row.described() for row in self._rows]
