"""The sample tables of an MP4 track (ISO 14496-12, 8.6 and 8.7): read, held against each other, written anew.

Every table has to agree with the number of samples, and every sample to lie in the file, so that no
number in them is free. They are kept as arrays, which take as much memory as they take in the file.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import lt
from typing import NoReturn, TypeAlias

from services.assets.domain.media.boxes import full
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged

_MOST_ROWS = 2_000_000  # of a table: half a day of frames of AAC
NAMES = (b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"co64", b"stss")

Numbers: TypeAlias = "array[int]"


@dataclass(frozen=True, slots=True)
class Samples:
    """Where the chunks of a track are, how long each is, and the tables that do not say where, as boxes."""

    offsets: Numbers
    lengths: Numbers
    tables: bytes


def read(tables: Mapping[bytes, Cursor], entries: int, most_chunks: int) -> Samples:
    """The samples of a track that has so many descriptions; raises ContentDamaged if tables contradict."""
    offsets = _offsets(tables, most_chunks)
    sizes = _Sizes(_needed(tables, b"stsz"))
    runs = _rows(_needed(tables, b"stsc"), columns=3)
    counts = _counts(runs, len(offsets), entries)
    if sum(counts) != sizes.count:
        _contradict()
    kept = [_runs(_needed(tables, b"stts"), sizes.count).box(b"stts")]
    if b"stss" in tables:
        kept.append(_sync(tables[b"stss"], sizes.count).box(b"stss"))
    if b"ctts" in tables:
        kept.append(_runs(tables[b"ctts"], sizes.count).box(b"ctts"))
    kept += [runs.box(b"stsc"), sizes.box()]
    return Samples(offsets, sizes.lengths(counts), b"".join(kept))


def places(offsets: Iterable[int]) -> bytes:
    """`stco`."""
    return _Rows(array("I", offsets)).box(b"stco")


@dataclass(frozen=True, slots=True)
class _Rows:
    """The numbers of a table, row by row."""

    numbers: Numbers
    columns: int = 1
    version: int = 0

    def column(self, index: int) -> Numbers:
        return self.numbers[index :: self.columns]

    def box(self, kind: bytes) -> bytes:
        count = struct.pack(">I", len(self.numbers) // self.columns)
        return full(kind, count, _big_endian(self.numbers), version=self.version)


def _rows(box: Cursor, columns: int = 1, kind: str = "I") -> _Rows:
    """A table: version and flags, how many rows, the rows."""
    version = box.number(4) >> 24
    return _Rows(_array(box, box.number(4), kind, columns), columns, version)


def _array(box: Cursor, rows: int, kind: str = "I", columns: int = 1) -> Numbers:
    if rows > _MOST_ROWS:
        raise ContentDamaged(problem="it has too many parts")
    numbers = array(kind)
    numbers.frombytes(box.take(rows * columns * numbers.itemsize))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _big_endian(numbers: Numbers) -> bytes:
    swapped = numbers[:]
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


def _needed(tables: Mapping[bytes, Cursor], name: bytes) -> Cursor:
    if name not in tables:
        raise ContentDamaged(problem="it does not say where its data are")
    return tables[name]


def _contradict() -> NoReturn:
    raise ContentDamaged(problem="what it says of its samples does not fit together")


def _offsets(tables: Mapping[bytes, Cursor], most: int) -> Numbers:
    wide = b"co64" in tables
    offsets = _rows(_needed(tables, b"co64" if wide else b"stco"), kind="Q" if wide else "I").numbers
    if len(offsets) > most:
        raise ContentDamaged(problem="its data are in more pieces than it has room for")
    return array("Q", offsets)


class _Sizes:
    """Sizes of samples in bytes, one for all or one each."""

    def __init__(self, box: Cursor) -> None:
        box.take(4)
        self._same, self.count = box.number(4), box.number(4)
        self._each = array("I") if self._same else _array(box, self.count)

    def lengths(self, counts: Numbers) -> Numbers:
        """How many bytes chunks of so many samples have."""
        if self._same:
            return array("Q", (count * self._same for count in counts))
        lengths, at = array("Q"), 0
        for count in counts:
            lengths.append(sum(self._each[at : at + count]))
            at += count
        return lengths

    def box(self) -> bytes:
        return full(b"stsz", struct.pack(">II", self._same, self.count), _big_endian(self._each))


def _counts(runs: _Rows, chunks: int, entries: int) -> Numbers:
    """How many samples each of the chunks has."""
    firsts, sizes, described = (runs.column(index) for index in range(3))
    if not firsts and not chunks:
        return array("Q")
    if not firsts or firsts[0] != 1 or 0 in sizes or not 1 <= min(described) <= max(described) <= entries:
        _contradict()
    counts, afters = array("Q"), firsts[1:]
    afters.append(chunks + 1)
    for first, size, after in zip(firsts, sizes, afters, strict=True):
        if not first < after <= chunks + 1:
            _contradict()
        counts.extend(array("Q", (size,)) * (after - first))
    return counts


def _runs(box: Cursor, samples: int) -> _Rows:
    """A table of (how many samples, a number of theirs) that covers every sample once."""
    rows = _rows(box, columns=2)
    counts = rows.column(0)
    if sum(counts) != samples or 0 in counts:
        _contradict()
    return rows


def _sync(box: Cursor, samples: int) -> _Rows:
    """Numbers of samples, in order."""
    rows = _rows(box)
    numbers = rows.numbers
    if not all(map(lt, numbers, numbers[1:])) or (numbers and not 1 <= numbers[0] <= numbers[-1] <= samples):
        _contradict()
    return rows
