"""Many values looked for at once, in memory and in files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ahocorasick_rs import BytesAhoCorasick

from cli.search.spellings import spellings

CHUNK = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sought:
    """A value, and what may be said of it: its name is shown, the value never."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """A value stands somewhere: `place` is a file, a table.column, a stream; `at` is how far into it."""

    sought: Sought
    place: str
    at: int


class Needles:
    """Values in all their spellings, found in one pass (Aho-Corasick), however many there are."""

    def __init__(self, sought: Iterable[Sought]) -> None:
        self.sought = list(sought)
        pairs = {spelled: each for each in self.sought for spelled in spellings(each.value)}
        self._whose = list(pairs.values())
        self._longest = max(map(len, pairs), default=1)
        self._automaton = BytesAhoCorasick(list(pairs)) if pairs else None

    def within(self, content: bytes, place: str, at: int = 0, *, after: int = 0) -> Iterator[Hit]:
        """Each place at which one stands that ends `after` so many bytes; one that stands in another too."""
        if self._automaton is not None and content:
            for number, start, end in self._automaton.find_matches_as_indexes(content, overlapping=True):
                if end > after:
                    yield Hit(self._whose[number], place, at + start)

    def in_file(self, path: Path, place: str) -> tuple[int, list[Hit]]:
        """The bytes that were looked through, and what was found in them.

        Read and not mapped: a server may cut its files short meanwhile, which ends who has them mapped. A
        file that is gone, as temporary ones are, had no byte.
        """
        try:
            with path.open("rb", buffering=0) as file:
                hits = list(self.in_stream(iter(lambda: file.read(CHUNK), b""), place))
                return file.tell(), hits
        except FileNotFoundError:
            return 0, []

    def in_stream(self, chunks: Iterable[bytes], place: str) -> Iterator[Hit]:
        """What is found in bytes that come in chunks; nothing is missed where one ends."""
        looked, kept = 0, b""
        for chunk in chunks:
            content = kept + chunk
            yield from self.within(content, place, looked - len(kept), after=len(kept))
            looked += len(chunk)
            kept = content[1 - self._longest :] if self._longest > 1 else b""
