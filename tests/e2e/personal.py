"""Every personal value that the end-to-end tests use, so that the last of them can look for each."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

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


def spellings(value: str) -> set[bytes]:
    """A value as it may stand in a log: as it is, as JSON or Python, in a URL, in base64."""
    plain = value.encode("utf-8", "replace")
    return {
        plain,
        json.dumps(value)[1:-1].encode(),
        repr(value)[1:-1].encode(),
        quote(value, safe="").encode(),
        base64.b64encode(plain).rstrip(b"="),
    }


def found_in(files: Iterable[Path], values: Iterable[str]) -> dict[str, list[str]]:
    """The values that stand in a file, by the file's name."""
    wanted = [(value, spelling) for value in values for spelling in spellings(value)]
    found = {}
    for file in files:
        content = file.read_bytes()
        if hits := sorted({value for value, spelling in wanted if spelling in content}):
            found[file.name] = hits
    return found
