"""How the samples of an MP4 track are coded (`stsd`, ISO 14496-12, 8.5.2 and 12), written anew.

Each kind of coding is listed with what a decoder needs of it; what is not listed is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import islice

from services.assets.domain.media import codecs, flac, icc, opus
from services.assets.domain.media.boxes import box, boxes, children, full
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

Rebuilt = Callable[[Cursor], bytes | None]
"""The body of a box as it stays; None if it goes."""

_MOST_ENTRIES = 64
_NCLX_SIZE, _NCLC_SIZE = 7, 6
_BRIGHTEST, _DARKEST, _WHOLE = 100_000_000, 1_000_000, 50_000  # mastering display: 0.0001 cd/m², 0.00002


def _aspect(cursor: Cursor) -> bytes:
    return struct.pack(">II", *(_small(cursor.number(4)) for _ in range(2)))


def _aperture(cursor: Cursor) -> bytes:
    numbers = struct.unpack(">8i", cursor.take(32))
    return struct.pack(">8i", *(_small(number) for number in numbers))


def _small(number: int) -> int:
    if abs(number) > 0xFFFF:
        raise ContentDamaged(problem="it gives its pictures no sensible size")
    return number


def _colour(cursor: Cursor) -> bytes | None:
    kind = bytes(cursor.take(4))
    if kind == b"nclx":
        *codes, whole = cursor.take(_NCLX_SIZE)
        return kind + bytes((*codes, whole & 0x80))
    if kind == b"nclc":
        return kind + bytes(cursor.take(_NCLC_SIZE))
    profile = icc.without_texts(bytes(cursor.take(cursor.left))) if kind in {b"prof", b"rICC"} else None
    return None if profile is None else kind + profile


def _mastering(cursor: Cursor) -> bytes | None:
    """The display that HDR pictures were mastered on, if there can be such a display."""
    numbers = struct.unpack(">8HII", cursor.take(24))
    points, brightest, darkest = numbers[:8], numbers[8], numbers[9]
    lawful = all(x + y <= _WHOLE for x, y in zip(points[::2], points[1::2], strict=True))
    if not lawful or brightest > _BRIGHTEST or darkest > min(brightest, _DARKEST):
        return None
    return struct.pack(">8HII", *numbers)


def _first(size: int, padded: int = 0) -> Rebuilt:
    """So many bytes, and zeros."""
    return lambda cursor: bytes(cursor.take(size)) + bytes(max(0, padded - size))


def _stream_info(cursor: Cursor) -> bytes:
    cursor.take(4)
    if cursor.number(4) & 0x7FFFFFFF != flac.INFO_SIZE:
        raise ContentDamaged(problem="it does not say how its sound is coded")
    info = flac.StreamInfo.read(bytes(cursor.take(flac.INFO_SIZE)))
    return bytes(4) + struct.pack(">I", 1 << 31 | flac.INFO_SIZE) + info.written()


_PICTURES: dict[bytes, tuple[bytes, Rebuilt]] = {
    b"avc1": (b"avcC", codecs.avc), b"avc3": (b"avcC", codecs.avc), b"hvc1": (b"hvcC", codecs.hevc),
    b"hev1": (b"hvcC", codecs.hevc), b"av01": (b"av1C", codecs.av1), b"vp08": (b"vpcC", codecs.vp9),
    b"vp09": (b"vpcC", codecs.vp9),
}  # fmt: skip
# How they are shown: shape of a pixel, colours, part to show, order of fields, brightness, Dolby Vision.
_SHOWN: dict[bytes, Rebuilt] = {
    b"pasp": _aspect, b"colr": _colour, b"clap": _aperture, b"fiel": _first(2), b"mdcv": _mastering,
    b"clli": _first(4), b"dvcC": _first(5, 24), b"dvvC": _first(5, 24),
}  # fmt: skip
_SOUNDS: dict[bytes, tuple[bytes, Rebuilt]] = {
    b"mp4a": (b"esds", codecs.elementary), b"Opus": (b"dOps", opus.box), b"fLaC": (b"dfLa", _stream_info),
    b"ac-3": (b"dac3", codecs.ac3), b"ec-3": (b"dec3", codecs.eac3),
}  # fmt: skip


def pictures(cursor: Cursor) -> tuple[list[bytes], tuple[int, int]]:
    """The entries of a track of pictures; width and height of the first."""
    entries, sizes = [], []
    for kind, body in _entries(cursor):
        if kind not in _PICTURES:
            raise ContentUnsupported(problem="its pictures are neither H.264, H.265, AV1 nor VP9")
        head = body.take(78)
        width, height = struct.unpack_from(">HH", head, 24)
        fields = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1)
        entries.append(box(kind, fields, *_parts(body, *_PICTURES[kind], _SHOWN)))
        sizes.append((width, height))
    if not sizes or not all(width and height for width, height in sizes):
        raise ContentDamaged(problem="it does not say how its pictures are coded")
    return entries, sizes[0]


def sounds(cursor: Cursor) -> list[bytes]:
    """The entries of a track of sound."""
    entries = []
    for kind, body in _entries(cursor):
        if kind not in _SOUNDS:
            raise ContentUnsupported(problem="its sound is neither AAC, MP3, Opus, FLAC nor AC-3")
        version, channels, bits, rate = struct.unpack(">8xH6xHH4xI", body.take(28))
        if version:
            raise ContentUnsupported(problem="its sound is described as QuickTime does it")
        fields = struct.pack(">6xH8xHH4xI", 1, channels, bits, rate)
        entries.append(box(kind, fields, *_parts(body, *_SOUNDS[kind], {})))
    return entries


def description(entries: list[bytes]) -> bytes:
    """`stsd`."""
    return full(b"stsd", struct.pack(">I", len(entries)), *entries)


def _entries(cursor: Cursor) -> list[tuple[bytes, Cursor]]:
    cursor.take(4)
    count = cursor.number(4)
    entries = list(islice(boxes(cursor), _MOST_ENTRIES))
    if count != len(entries):
        raise ContentDamaged(problem="it does not say how its pictures and sound are coded")
    return entries


def _parts(body: Cursor, needed: bytes, rebuilt: Rebuilt, more: dict[bytes, Rebuilt]) -> list[bytes]:
    found = children(body, needed, *more)
    if needed not in found:
        raise ContentDamaged(problem="it does not say how its pictures and sound are coded")
    kept = {kind: rule(found[kind]) for kind, rule in ({needed: rebuilt} | more).items() if kind in found}
    return [box(kind, part) for kind, part in kept.items() if part is not None]
