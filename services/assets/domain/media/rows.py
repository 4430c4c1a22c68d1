"""The rows of a PNG: inflated piece by piece and let go, so that a bomb costs time only as it is paid for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from services.assets.domain.refusals import ContentDamaged

_PIECE = 256 * 1024
_FILTERS = bytes(range(5))
# Adam7: (first column, first row, step of columns, step of rows).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Shape(NamedTuple):
    """Width and height in pixels, bits a pixel."""

    width: int
    height: int
    bits: int
    interlaced: bool

    def passes(self) -> Iterator[tuple[int, int]]:
        """(rows, bytes a row with its filter type) of each pass."""
        for left, top, across, down in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns = (self.width - left + across - 1) // across
            rows = (self.height - top + down - 1) // down
            if columns > 0 and rows > 0:
                yield rows, 1 + (columns * self.bits + 7) // 8


def end_of_rows(compressed: bytes, shape: Shape) -> int:
    """Where in `compressed` the zlib stream ends, which has to hold exactly the rows of `shape`.

    Raises ContentDamaged if it holds less or more, or a row has an unknown filter.
    """
    inflater = _Inflater(compressed)
    for rows, stride in shape.passes():
        todo, at = rows * stride, 0
        while todo:
            piece = inflater.next(min(todo, _PIECE))
            if piece[-at % stride :: stride].translate(None, _FILTERS):
                raise ContentDamaged(problem="one of its rows can't be read")
            at += len(piece)
            todo -= len(piece)
    return inflater.end()


class _Inflater:
    def __init__(self, compressed: bytes) -> None:
        self._object, self._input, self._fed = zlib.decompressobj(), memoryview(compressed), 0

    def next(self, most: int) -> bytes:
        piece = self._inflated(most)
        if not piece:
            raise ContentDamaged(problem="it ends before its picture does")
        return piece

    def end(self) -> int:
        if self._inflated(1) or not self._object.eof:
            raise ContentDamaged(problem="its pixels do not end where they should")
        return self._fed - len(self._object.unused_data)

    def _inflated(self, most: int) -> bytes:
        """Up to `most` bytes more; none at the end of the stream or of what there is of it."""
        piece = b""
        while not piece and not self._object.eof:
            # Fed in slices: zlib hands back what it did not use, and to copy all of it each time is slow.
            source = self._object.unconsumed_tail or self._slice()
            try:
                piece = self._object.decompress(source, most)
            except zlib.error:
                raise ContentDamaged(problem="its pixels can't be read") from None
            if not source:
                break
        return piece

    def _slice(self) -> memoryview:
        start, self._fed = self._fed, min(self._fed + _PIECE, len(self._input))
        return self._input[start : self._fed]
