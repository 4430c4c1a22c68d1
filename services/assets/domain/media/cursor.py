"""Reading bytes that may be anything: every step is checked, the only error is ContentDamaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from services.assets.domain.refusals import ContentDamaged

ENDS_EARLY = "it ends too early"


class Cursor:
    """A position in `data`, from `at` to before `end`; numbers are big-endian unless said."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes | bytearray | memoryview, at: int = 0, end: int | None = None) -> None:
        self.data, self.at = memoryview(data), at
        self.end = len(self.data) if end is None else end

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return self.end - self.at

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, not copied."""
        if size < 0 or size > self.end - self.at:
            raise ContentDamaged(problem=ENDS_EARLY)
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def little(self, size: int) -> int:
        """An unsigned little-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def sub(self, size: int) -> Cursor:
        """A cursor over the next `size` bytes, which are skipped here."""
        self.take(size)
        return Cursor(self.data, self.at - size, self.at)


T = TypeVar("T")


def at_most(limit: int, parts: Iterable[T]) -> Iterator[T]:
    """The parts, up to `limit` of them; a file of millions of tiny parts is made to keep readers busy."""
    for number, part in enumerate(parts):
        if number >= limit:
            raise ContentDamaged(problem="it has too many parts")
        yield part
