"""What a bench answers, and the one way in which all of them measure: ours and bare in turns."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

TURN_SECONDS = 0.25
BUDGET_SECONDS = 4.0
FEWEST_ROUNDS = 3
Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """A line of `.crafiq/bench.json` (API.md); `load` says under which load and is only printed.

    `ratio` is always better when it is greater, and `met` is no more than ratio >= goal.
    """

    name: str
    ours: float
    bare: float
    ratio: float
    goal: float
    unit: str
    load: str

    @property
    def met(self) -> bool:
        """Strictly; tolerance is the reader's."""
        return self.ratio >= self.goal

    def line(self) -> dict[str, Any]:
        """The fields of the contract, and no others."""
        fields = ("name", "ours", "bare", "ratio", "goal", "unit", "met")
        return {field: getattr(self, field) for field in fields}


async def compare(
    name: str,
    goal: float,
    ours: Measure,
    bare: Measure,
    *,
    load: str,
    unit: str = "1/s",
    seconds: float = BUDGET_SECONDS,
) -> Row:
    """Two rates, taken in turns for so many seconds, each round beginning with the other one.

    The figures are medians; the ratio is the median of each round's ratio, because what else the
    machine does falls on both sides of one round.
    """
    await ours(), await bare()  # connections, prepared statements and caches are warm after this
    rounds: list[tuple[float, float]] = []
    until = time.monotonic() + seconds
    while len(rounds) < FEWEST_ROUNDS or time.monotonic() < until:
        if len(rounds) % 2:
            rounds.append((await ours(), await bare()))
        else:
            second, first = await bare(), await ours()
            rounds.append((first, second))
    mine, theirs = (round(statistics.median(side)) for side in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    return Row(name, mine, theirs, _down(ratio), goal, unit, load)


def sooner(name: str, goal: float, ours: Sequence[float], bare: Sequence[float], *, load: str) -> Row:
    """Two durations in milliseconds, taken in turns: the ratio is the median of bare / ours of each round."""
    ratio = statistics.median(theirs / mine for mine, theirs in zip(ours, bare, strict=True))
    mine, theirs = (round(statistics.median(side), 1) for side in (ours, bare))
    return Row(name, mine, theirs, _down(ratio), goal, "ms", load)


def within(name: str, measured: float, limit: float, unit: str, *, load: str) -> Row:
    """A figure that has a limit and nothing bare beside it: `bare` is the limit, the ratio limit / ours."""
    ratio = _down(limit / max(measured, 0.001))
    return Row(name, round(measured, 2), limit, ratio, 1.0, f"{unit}, bare = limit", load)


async def rate(action: Callable[[], Awaitable[Any]], in_flight: int, seconds: float = TURN_SECONDS) -> float:
    """How often a second `action` ends, so many under way at a time; takes that long and one action more."""
    started = time.perf_counter()
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            await action()
            done += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done / (time.perf_counter() - started)


def as_json(rows: Iterable[Row]) -> str:
    """The content of `bench.json`."""
    return json.dumps([row.line() for row in rows], indent=1) + "\n"


def as_table(rows: Iterable[Row]) -> str:
    """For people, aligned."""
    head = ("name", "ours", "bare", "ratio", "goal", "unit", "met", "load")
    cells = [head] + [
        (
            row.name, f"{row.ours:g}", f"{row.bare:g}", f"{row.ratio:.3f}", f"{row.goal:.2f}",
            row.unit, "yes" if row.met else "NO", row.load,
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = {1, 2, 3, 4}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _down(ratio: float) -> float:
    # Rounded up it could say that a goal is met which is not.
    return math.floor(ratio * 1000) / 1000
