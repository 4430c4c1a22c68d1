"""FLAC (RFC 9639): what the stream is, true seek points and frames stay; comments, pictures, tags go.

Frames have no length: each ends where the next begins, which its number and two checksums prove; the last
one is read to its end. What follows it goes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.flac_frames import Walk
from services.assets.domain.refusals import ContentDamaged

START = b"fLaC"
INFO_SIZE = 34
_STREAM_INFO, _SEEK_TABLE = 0, 3
_POINT = ">QQH"
_SEEKS_LARGEST = 10_000 * struct.calcsize(_POINT)


class StreamInfo(NamedTuple):
    """What every decoder needs (8.2): samples a block, rate, channels, bits, samples (0: unknown)."""

    shortest: int
    longest: int
    rate: int
    channels: int
    bits: int
    samples: int

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises ContentDamaged if it makes no sense."""
        shortest, longest, packed = *struct.unpack_from(">HH", body), int.from_bytes(body[10:18])
        rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
        if not 16 <= shortest <= longest or not 1 <= rate <= 655_350 or not bits >= 4:
            raise ContentDamaged(problem="it does not say what it is")
        return cls(shortest, longest, rate, channels, bits, packed & (1 << 36) - 1)

    def written(self) -> bytes:
        """Without the sizes of frames and the digest of the sound: zero means unknown."""
        packed = self.rate << 44 | (self.channels - 1) << 41 | (self.bits - 1) << 36 | self.samples
        return struct.pack(">HH6x8s16x", self.shortest, self.longest, packed.to_bytes(8))


def clean(data: bytes) -> Cleaned:
    """Keep what the sound is made of; raises ContentDamaged."""
    cursor = Cursor(data)
    if bytes(cursor.take(4)) != START:
        raise ContentDamaged(problem="it does not begin like FLAC")
    info, seeks = _blocks(cursor)
    walk = Walk(data, cursor.at, info.bits)
    wanted = set(struct.iter_unpack(_POINT, seeks))
    places = ((frame.sample, frame.at - cursor.at, frame.size) for frame in walk.frames(info.samples))
    table = b"".join(struct.pack(_POINT, *place) for place in places if place in wanted)
    blocks = [(_STREAM_INFO, info.written())] + [(_SEEK_TABLE, table)] * bool(table)
    return Cleaned((START, *_written(blocks), memoryview(data)[cursor.at : walk.end]))


def _blocks(cursor: Cursor) -> tuple[StreamInfo, bytes]:
    """What the stream is, and the seek table, if there is one."""
    info, seeks = None, b""
    more = True
    while more:
        head, size = cursor.number(1), cursor.number(3)
        more, kind, body = not head & 0x80, head & 0x7F, cursor.take(size)
        if info is None:
            if kind != _STREAM_INFO or size != INFO_SIZE:
                raise ContentDamaged(problem="it does not say what it is")
            info = StreamInfo.read(bytes(body))
        elif kind == _SEEK_TABLE and size <= _SEEKS_LARGEST and not size % struct.calcsize(_POINT):
            seeks = bytes(body)
    assert info is not None
    return info, seeks


def _written(blocks: list[tuple[int, bytes]]) -> list[bytes]:
    """The blocks, the last one marked as such."""
    last = len(blocks) - 1
    return [
        struct.pack(">I", (kind | (0x80 if number == last else 0)) << 24 | len(body)) + body
        for number, (kind, body) in enumerate(blocks)
    ]
