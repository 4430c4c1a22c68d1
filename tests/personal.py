"""Every personal value that tests use, so that each can be looked for where nobody may have written it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TypeVar

from chassis.telemetry import JsonLines
from cli.search import Needles, Sought

T = TypeVar("T", bound=str)
# Shorter ones are found by chance: "ada" is in "metadata".
SHORTEST = 8
STAND_INS = {"mail.log"}
"""The logger of other people's mail server, which tests play in their own process."""
WRITTEN = ("logs", "traces")
"""The folders of a state folder in which processes write about themselves."""
_used: dict[str, str] = {}
_kept_in: list[Path] = []


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


def assert_discreet(files: Iterable[Path], values: Mapping[str, str] | None = None) -> None:
    """Raises AssertionError if one of these, or else of all that were used, stands in a file."""
    found = found_in(files, all_used() if values is None else values)
    assert not found, "A personal value was written down:\n" + "\n".join(found)


@contextmanager
def overheard(folder: Path, values: Mapping[str, str] | None = None) -> Iterator[None]:
    """What this process logs, written as a service would write it, and what is kept: searched at the end."""
    root = logging.getLogger()
    handler, level = _Overhearing(folder / "in-process.log", encoding="utf-8"), root.level
    handler.setFormatter(JsonLines())
    handler.addFilter(lambda record: record.name not in STAND_INS)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    _kept_in.append(folder)
    try:
        yield
    finally:
        _kept_in.remove(folder)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
    assert_discreet(folder.iterdir(), values)


def keep(files: Iterable[Path]) -> None:
    """Of logs that are about to be removed, copies: they are searched when all values are known."""
    for folder in _kept_in[-1:]:
        for file in (each for each in files if each.is_file()):
            shutil.copyfile(file, folder / f"{len(list(folder.iterdir()))}-{file.name}")


class _Overhearing(logging.FileHandler):
    def emit(self, record: logging.LogRecord) -> None:
        super().emit(copy(record))  # others get it with its arguments as they were


def _line(file: Path, at: int) -> str:
    content = file.read_bytes()
    begins = content.rfind(b"\n", 0, at) + 1
    number, text = content[:begins].count(b"\n") + 1, content[begins:].partition(b"\n")[0][:400]
    return f"line {number}: {text.decode(errors='replace')}"
