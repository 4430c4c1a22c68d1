"""The three headers of Vorbis I (specification, 4.2), as Ogg and WebM have them.

The second, the comments, becomes an empty one. The third is codebooks, floors, residues, mappings and modes;
it is read to its last bit, and what stands behind that goes.
"""

from __future__ import annotations

import struct

from services.assets.domain.media.bits import Bits
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

IDENTIFICATION, COMMENTS, SETUP = b"\x01vorbis", b"\x03vorbis", b"\x05vorbis"
NO_COMMENTS = COMMENTS + bytes(8) + b"\x01"
_IDENTIFICATION_SIZE = 30
_SETUP_LARGEST = 256 * 1024  # encoders write 3 to 8 KiB
_CODEBOOK = 0x564342


def headers(identification: bytes, comments: bytes, setup: bytes) -> tuple[bytes, bytes, bytes]:
    """The same, without comments and whatever stands behind their ends; raises ContentDamaged."""
    lawful = identification.startswith(IDENTIFICATION) and comments.startswith(COMMENTS)
    if not lawful or len(identification) < _IDENTIFICATION_SIZE or len(setup) > _SETUP_LARGEST:
        raise ContentDamaged(problem="its sound has no headers")
    version, channels, rate, sizes, framed = struct.unpack_from("<7xIBI12xBB", identification)
    if version or not channels or not rate or not 6 <= sizes & 15 <= sizes >> 4 <= 13 or not framed & 1:
        raise ContentDamaged(problem="its sound has no headers")
    return identification[:29] + b"\x01", NO_COMMENTS, _Setup(setup, channels).read()


class _Setup:
    def __init__(self, packet: bytes, channels: int) -> None:
        if not packet.startswith(SETUP):
            raise ContentDamaged(problem="its sound has no headers")
        self._packet, self._channels = packet, channels
        self._bits = Bits.little(packet[len(SETUP) :])

    def read(self) -> bytes:
        bits = self._bits
        for _ in range(bits.number(8) + 1):
            self._codebook()
        self._zeros(*(16,) * (bits.number(6) + 1))
        for part in (self._floor, self._residue, self._mapping, self._mode):
            for _ in range(bits.number(6) + 1):
                part()
        if not bits.number(1):
            raise ContentDamaged(problem="its sound has no headers")
        return self._packet[: len(SETUP) + (bits.at + 7) // 8]

    def _zeros(self, *sizes: int) -> None:
        """What is zero until there is a version after the first."""
        if any(self._bits.number(size) for size in sizes):
            raise ContentUnsupported(problem="it is coded in a way that is not known yet")

    def _codebook(self) -> None:
        bits = self._bits
        if bits.number(24) != _CODEBOOK:
            raise ContentDamaged(problem="its sound has no headers")
        dimensions, entries = bits.number(16), bits.number(24)
        if bits.number(1):
            self._ordered(entries)
        elif bits.number(1):
            for _ in range(entries):
                bits.skip(5 if bits.number(1) else 0)
        else:
            bits.skip(5 * entries)
        lookup = bits.number(4)
        if lookup > 2 or not dimensions:
            raise ContentDamaged(problem="its sound has no headers")
        if lookup:
            bits.skip(64)
            size = bits.number(4) + 1
            bits.skip(1)
            bits.skip(size * (_root(entries, dimensions) if lookup == 1 else entries * dimensions))

    def _ordered(self, entries: int) -> None:
        self._bits.skip(5)
        while entries > 0:
            entries -= self._bits.number(entries.bit_length())

    def _floor(self) -> None:
        bits = self._bits
        kind = bits.number(16)
        if kind == 0:
            bits.skip(54)
            bits.skip(8 * (bits.number(4) + 1))
        elif kind == 1:
            self._floor_of_classes()
        else:
            raise ContentDamaged(problem="its sound has no headers")

    def _floor_of_classes(self) -> None:
        bits = self._bits
        classes = [bits.number(4) for _ in range(bits.number(5))]
        dimensions = []
        for _ in range(max(classes, default=-1) + 1):
            dimensions.append(bits.number(3) + 1)
            subclasses = bits.number(2)
            bits.skip(8 if subclasses else 0)
            bits.skip(8 << subclasses)
        bits.skip(2)
        bits.skip(bits.number(4) * sum(dimensions[one] for one in classes))

    def _residue(self) -> None:
        bits = self._bits
        if bits.number(16) > 2:
            raise ContentDamaged(problem="its sound has no headers")
        bits.skip(72)
        classifications = bits.number(6) + 1
        bits.skip(8)
        cascades = []
        for _ in range(classifications):
            low = bits.number(3)
            cascades.append(low | bits.number(5) << 3 if bits.number(1) else low)
        bits.skip(8 * sum(cascade.bit_count() for cascade in cascades))

    def _mapping(self) -> None:
        bits = self._bits
        self._zeros(16)
        submaps = bits.number(4) + 1 if bits.number(1) else 1
        steps = bits.number(8) + 1 if bits.number(1) else 0
        bits.skip(2 * steps * (self._channels - 1).bit_length())
        self._zeros(2)
        bits.skip(4 * self._channels if submaps > 1 else 0)
        bits.skip(24 * submaps)

    def _mode(self) -> None:
        self._bits.skip(1)
        self._zeros(16, 16)
        self._bits.skip(8)


def _root(entries: int, dimensions: int) -> int:
    """The greatest number whose power of `dimensions` is not more than `entries` (9.2.3)."""
    low, high = 0, entries + 1
    while high - low > 1:
        middle = (low + high) // 2
        # No power is computed that is certainly too large: dimensions may be 65,535.
        too_large = middle > 1 and (middle.bit_length() - 1) * dimensions > 24
        low, high = (low, middle) if too_large or middle**dimensions > entries else (middle, high)
    return low
