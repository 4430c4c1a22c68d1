"""The raw files of a platform: everything below its state folder that may hold what people gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli.search.needles import Hit, Needles

KEYS = ("secrets", "tls", "peppers")
"""Not searched: keys, passwords and certificates that the launcher made. No service writes there, and no
other tool should read them."""
TAKEN_HOME = ("demo",)
"""Not searched: what the demo's person took home, as anyone takes along what they download."""


@dataclass
class Looked:
    """How much was looked through, and what was found."""

    size: int = 0
    files: int = 0
    hits: list[Hit] = field(default_factory=list)


def raw_files(state: Path) -> Iterator[Path]:
    """Every file of a state folder but those that are not searched."""
    for top in sorted(state.iterdir()):
        if top.name in (*KEYS, *TAKEN_HOME) or top.is_symlink():
            continue
        yield from (path for path in [top, *top.rglob("*")] if path.is_file() and not path.is_symlink())


def look_through(
    state: Path, needles: Needles, progress: Callable[[Looked], None] = lambda _: None
) -> Looked:
    """Search the raw files; `progress` is called now and then."""
    looked = Looked()
    for path in raw_files(state):
        size, hits = needles.in_file(path, str(path.relative_to(state)))
        looked.size += size
        looked.files += 1
        looked.hits += hits
        if looked.files % 200 == 0:
            progress(looked)
    return looked
