"""Values from outside that a scrub looks for beside those that services hand over."""

from __future__ import annotations

import sys
from pathlib import Path

from cli.search import Sought


def values_of(file: str | None) -> list[Sought]:
    """One a line; `-` is standard input. Never from the command line, which every process can read.

    Raises OSError.
    """
    if file is None:
        return []
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    lines = [line for line in text.splitlines() if line]
    return [Sought(f"line {number}", line) for number, line in enumerate(lines, 1)]
