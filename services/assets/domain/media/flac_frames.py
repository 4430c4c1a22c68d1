"""The frames of FLAC (RFC 9639, 9): where each begins, and where the last one ends."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from functools import cache
from itertools import repeat
from typing import NamedTuple

from services.assets.domain.media.bits import Bits
from services.assets.domain.refusals import ContentDamaged

_DAMAGED = "its last frame is damaged"
_MOST = 500_000  # frames: half a day of blocks of 4,096 samples
_MOST_MISSES = 100_000
_BLOCKS = {
    1: 192,
    **{code: 144 << code for code in range(2, 6)},
    **{code: 1 << code for code in range(8, 16)},
}
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_LEFT_SIDE, _SIDE_RIGHT, _MID_SIDE = 8, 9, 10


class Frame(NamedTuple):
    """A frame: its first sample in the stream, where it begins, how many samples a channel it has."""

    sample: int
    at: int
    size: int


class _Header(NamedTuple):
    end: int
    number: int
    block: int
    assignment: int
    bits: int


class Walk:
    """From the first frame of `data`, at `start`, to the last; then `end` is where that ends."""

    def __init__(self, data: bytes, start: int, bits: int) -> None:
        self.end = start
        self._data, self._bits, self._misses = data, bits, 0

    def frames(self, total: int) -> Iterator[Frame]:
        """Frames until there are `total` samples (if that is not zero), or no more; raises ContentDamaged."""
        header, sample = self._header(self.end), 0
        for _ in repeat(None, _MOST):
            if header is None:
                break
            yield Frame(sample, self.end, header.block)
            sample += header.block
            following = None if sample == total else self._following(header)
            if following is None:
                self.end = self._last(header)
            header = following
        if header or not sample or (total and sample != total):
            raise ContentDamaged(problem="it has not the sound that it says")

    def _following(self, header: _Header) -> _Header | None:
        """The header of the next frame; moves `end` to where it begins."""
        start, data = self.end, self._data
        sync, fixed = data[start : start + 2], not data[start + 1] & 1
        number, at, register = header.number + (1 if fixed else header.block), header.end, 0
        done = start
        while (at := data.find(sync, at)) >= 0:
            found = self._header(at)
            if found is not None and found.number == number:
                register, done = _crc16(data[done:at], register), at
                if not register:
                    self.end = at
                    return found
            self._missed()
            at += 1
        return None

    def _missed(self) -> None:
        self._misses += 1
        if self._misses > _MOST_MISSES:
            raise ContentDamaged(problem="most of it is not sound")

    def _header(self, at: int) -> _Header | None:
        """The frame header at `at`, if its checksum is right."""
        head = self._data[at : at + 16]
        if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
            return None
        # The frame's number is coded as UTF-8 is: leading ones say how many bytes.
        ones = 8 - (head[4] ^ 0xFF).bit_length()
        more, codes, assignment = max(ones, 1), (head[2] >> 4, head[2] & 15), head[3] >> 4
        block_at = 4 + more
        rate_at = block_at + {6: 1, 7: 2}.get(codes[0], 0)
        end = rate_at + {12: 1, 13: 2, 14: 2}.get(codes[1], 0) + 1
        bits = _BITS.get(head[3] >> 1 & 7, self._bits)
        if ones in {1, 8} or codes[0] == 0 or codes[1] == 15 or assignment > _MID_SIDE or len(head) < end:
            return None
        if _crc8(head[:end]):
            return None
        number = head[4] & 0x7F >> ones if ones else head[4]
        for byte in head[5 : 4 + more]:
            number = number << 6 | byte & 63
        block = _BLOCKS.get(codes[0]) or int.from_bytes(head[block_at:rate_at]) + 1
        return _Header(at + end, number, block, assignment, bits)

    def _last(self, header: _Header) -> int:
        """Where the frame that begins at `end` ends, by reading it."""
        channels = header.assignment + 1 if header.assignment < _LEFT_SIDE else 2
        largest = (header.bits + 1) * channels * header.block // 8 + 64 * channels
        bits = Bits.big(self._data[header.end : header.end + largest])
        for channel in range(channels):
            side = (header.assignment, channel) in {(_LEFT_SIDE, 1), (_SIDE_RIGHT, 0), (_MID_SIDE, 1)}
            _subframe(bits, header.bits + side, header.block)
        end = header.end + (bits.at + 7) // 8 + 2
        if end > len(self._data) or _crc16(self._data[self.end : end]):
            raise ContentDamaged(problem=_DAMAGED)
        return end


def _subframe(bits: Bits, depth: int, block: int) -> None:
    """Pass over one channel (9.2): constant, verbatim, or a predictor with what it missed."""
    kind, wasted = bits.number(7), bits.number(1)
    if wasted:
        depth -= bits.zeros() + 1
    if kind > 1 and not (8 <= kind <= 12 or 32 <= kind <= 63):
        raise ContentDamaged(problem=_DAMAGED)
    if kind <= 1:
        bits.skip(depth * (block if kind else 1))
        return
    order = kind - 8 if kind < 32 else kind - 31
    bits.skip(depth * order)
    if kind >= 32:
        precision = bits.number(4) + 1
        bits.skip(5 + precision * order)
    _residual(bits, order, block)


def _residual(bits: Bits, order: int, block: int) -> None:
    width = 4 + bits.number(2)
    parts = 1 << bits.number(4)
    if width > 5 or block % parts or block // parts < order:
        raise ContentDamaged(problem=_DAMAGED)
    for part in range(parts):
        count, parameter = block // parts - (0 if part else order), bits.number(width)
        if parameter == (1 << width) - 1:
            bits.skip(bits.number(5) * count)
        else:
            _rice(bits, count, parameter)


def _rice(bits: Bits, count: int, parameter: int) -> None:
    """9.2.7.2, a million a second: zeros up to a one, then as many bits as the parameter says."""
    find, at = bits.text.index, bits.at
    try:
        for _ in range(count):
            at = find("1", at) + 1 + parameter
    except ValueError:
        raise ContentDamaged(problem=_DAMAGED) from None
    bits.skip(at - bits.at)


def _steps(bits: int, polynomial: int) -> list[int]:
    """What becomes of a register of so many bits when its first eight are shifted out."""
    top, mask, table = 1 << (bits - 1), (1 << bits) - 1, []
    for value in range(256):
        register = value << (bits - 8)
        for _ in range(8):
            register = (register << 1 ^ (polynomial if register & top else 0)) & mask
        table.append(register)
    return table


_EIGHT, _SIXTEEN = _steps(8, 0x07), _steps(16, 0x8005)


@cache
def _double() -> array[int]:
    """The same for all sixteen, so that a checksum takes a step for two bytes."""
    half = _SIXTEEN
    return array(
        "H", (half[(half[v >> 8] >> 8) ^ v & 255] ^ half[v >> 8] << 8 & 0xFF00 for v in range(1 << 16))
    )


def _crc8(data: bytes) -> int:
    register = 0
    for byte in data:
        register = _EIGHT[register ^ byte]
    return register


def _crc16(data: bytes, register: int = 0) -> int:
    words, table = array("H", data[: len(data) & ~1]), _double()
    if sys.byteorder == "little":
        words.byteswap()
    for word in words:
        register = table[register ^ word]
    if len(data) % 2:
        register = register << 8 & 0xFF00 ^ _SIXTEEN[register >> 8 ^ data[-1]]
    return register
