"""Where the samples of an MP4 track stand in the file (ISO 14496-12, 8.7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise

from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged

Extent = tuple[int, int]
"""First byte, byte after the last."""


def extents(tables: Mapping[bytes, Cursor]) -> list[Extent]:
    """The chunks of a track, from the bodies of its `stsc`, `stsz` and `stco` or `co64`."""
    wide = b"co64" in tables
    offsets_box = tables.get(b"co64" if wide else b"stco")
    if offsets_box is None or b"stsz" not in tables or b"stsc" not in tables:
        raise ContentDamaged(problem="it does not say where its data are")
    offsets = _numbers(offsets_box, "Q" if wide else "I")
    sizes = _Sizes(tables[b"stsz"])
    counts = _counts(tables[b"stsc"], len(offsets))
    return [(offset, offset + sizes.next(count)) for offset, count in zip(offsets, counts, strict=True)]


def _numbers(box: Cursor, kind: str, columns: int = 1) -> tuple[int, ...]:
    """The numbers of a table: version and flags, how many rows, the rows."""
    box.take(4)
    count = box.number(4) * columns
    return struct.unpack(f">{count}{kind}", box.take(count * struct.calcsize(kind)))


class _Sizes:
    """Sizes of samples, one after the other."""

    def __init__(self, box: Cursor) -> None:
        box.take(4)
        self._same, self._at = box.number(4), 0
        self._left = box.number(4)
        self._each = () if self._same else struct.unpack(f">{self._left}I", box.take(4 * self._left))

    def next(self, count: int) -> int:
        """How many bytes the next `count` samples have."""
        self._left -= count
        if self._left < 0:
            raise ContentDamaged(problem="it has fewer samples than it says")
        self._at += count
        return self._same * count or sum(self._each[self._at - count : self._at])


def _counts(box: Cursor, chunks: int) -> Iterator[int]:
    """How many samples each of the chunks has."""
    table = _numbers(box, "I", columns=3)
    runs = [(table[at] - 1, table[at + 1]) for at in range(0, len(table), 3)]
    if chunks and (not runs or runs[0][0] != 0):
        raise ContentDamaged(problem="it does not say where its data are")
    for (first, count), (after, _) in pairwise([*runs, (chunks, 0)]):
        if after < first or after > chunks:
            raise ContentDamaged(problem="it does not say where its data are")
        yield from (count for _ in range(first, after))
