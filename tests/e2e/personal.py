"""Every personal value that the end-to-end tests use, so that the last of them can look for each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from cli.search import Needles, Sought

T = TypeVar("T", bound=str)
# Shorter ones are found by chance: "ada" is in "metadata".
SHORTEST = 8
_used: set[str] = set()


def used(value: T) -> T:
    """Remember that a test gives the platform this value of a person's; answers the value."""
    if len(value) >= SHORTEST:
        _used.add(value)
    return value


def all_used() -> frozenset[str]:
    """What was remembered so far."""
    return frozenset(_used)


def found_in(files: Iterable[Path], values: Iterable[str]) -> dict[str, list[str]]:
    """The values that stand in a file, by the file's name, however they are spelled."""
    needles = Needles(Sought(value, value.encode("utf-8", "replace")) for value in values)
    found = {file.name: needles.in_file(file, file.name)[1] for file in files}
    return {name: sorted({hit.sought.name for hit in hits}) for name, hits in found.items() if hits}
