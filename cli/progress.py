"""Progress in the terminal: one line a step, with its time, readable in a log as well."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Counts and times steps, on `out` or standard output. One that raises is shown as failed, and raises."""

    def __init__(self, steps: int, out: TextIO | None = None) -> None:
        self._steps, self._out = steps, out or sys.stdout
        self._done = 0
        self._began = time.monotonic()
        self.timings: list[tuple[str, float]] = []

    def expect(self, more: int) -> None:
        """There are more steps than was thought."""
        self._steps += more

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` while the body runs, and what it found when it is through."""
        self._done += 1
        step = Step(f"[{self._done}/{self._steps}] {title}", self._out)
        began = time.monotonic()
        step.begin()
        try:
            yield step
        except BaseException:
            step.end("✗", time.monotonic() - began)
            raise
        self.timings.append((title, time.monotonic() - began))
        step.end("✓", time.monotonic() - began)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began


class Step:
    """One line of progress."""

    def __init__(self, title: str, out: TextIO) -> None:
        self._title, self._out = title, out
        self._found = ""
        self._live = out.isatty()

    def begin(self) -> None:
        """Show that the step is under way (on a terminal only: a log wants results)."""
        if self._live:
            print(f"  … {self._title}", end="\r", flush=True, file=self._out)

    def found(self, what: str) -> None:
        """What the step found; shown at its end, and at once on a terminal."""
        self._found = what
        if self._live:
            print(f"\x1b[2K  … {self._title}: {what}", end="\r", flush=True, file=self._out)

    def end(self, mark: str, seconds: float) -> None:
        """Show the result."""
        clear = "\x1b[2K" if self._live else ""
        found = f": {self._found}" if self._found else ""
        print(f"{clear}  {mark} {self._title}{found}  ({seconds:.2f} s)", flush=True, file=self._out)
