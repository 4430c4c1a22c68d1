"""Who waits for something to change hears of it: at once in this process, by a poll from others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID


class Changes:
    """Two things are waited for: that a job changes (streams), and that there is work (workers)."""

    def __init__(self) -> None:
        self.work = asyncio.Event()
        """Set when a job came into the queue; who looks into the queue clears it first."""
        self._watched: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def of(self, generation: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job may have changed; it begins set."""
        event = asyncio.Event()
        event.set()
        self._watched.setdefault(generation, set()).add(event)
        try:
            yield event
        finally:
            self._watched[generation].discard(event)
            if not self._watched[generation]:
                del self._watched[generation]

    def ring(self, generation: UUID) -> None:
        """The job has changed."""
        for event in self._watched.get(generation, ()):
            event.set()

    @property
    def watched(self) -> list[UUID]:
        """The jobs that somebody waits for in this process."""
        return list(self._watched)
