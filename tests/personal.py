"""Every personal value that tests use, so that each can be looked for where nobody may have written it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from cli.search import Needles, Sought

T = TypeVar("T", bound=str)
# Shorter ones are found by chance: "ada" is in "metadata".
SHORTEST = 8
WRITTEN = ("logs", "traces")
"""The folders of a state folder in which processes write about themselves."""
_used: dict[str, str] = {}


def used(value: T, kind: str = "words of a person") -> T:
    """Remember that a test gives the platform this value of a person's, and what it is; answers the value."""
    if len(value) >= SHORTEST:
        _used.setdefault(value, kind)
    return value


def all_used() -> dict[str, str]:
    """What was remembered so far, and what each is."""
    return dict(_used)


def written(state: Path) -> list[Path]:
    """The logs and traces of a state folder, what the launcher said itself among them."""
    files = [path for folder in WRITTEN for path in (state / folder).rglob("*")]
    return [path for path in [*files, state / "up.log"] if path.is_file()]


def found_in(files: Iterable[Path], values: Mapping[str, str] | Mapping[bytes, str]) -> list[str]:
    """Where a value stands in a file, however it is spelled: what it is, the file, the line and its text."""
    needles = Needles(
        Sought(kind, value if isinstance(value, bytes) else value.encode("utf-8", "replace"))
        for value, kind in values.items()
    )
    return sorted(
        {
            f"{hit.sought.name} in {file.name}, {_line(file, hit.at)}"
            for file in files
            for hit in needles.in_file(file, file.name)[1]
        }
    )


def _line(file: Path, at: int) -> str:
    content = file.read_bytes()
    begins = content.rfind(b"\n", 0, at) + 1
    number, text = content[:begins].count(b"\n") + 1, content[begins:].partition(b"\n")[0][:400]
    return f"line {number}: {text.decode(errors='replace')}"
