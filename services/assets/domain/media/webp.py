"""WebP (RFC 9649): RIFF chunks that make the picture stay; EXIF, XMP, unknown ones and any tail go."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.assets.domain.media import exif, icc
from services.assets.domain.media.cleaned import Bytes, Cleaned, bounded
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged

_FRAME_PARTS = frozenset({b"ALPH", b"VP8 ", b"VP8L"})
_FLAG_ICC, _FLAG_ALPHA, _FLAG_ANIMATED = 0x20, 0x10, 0x02
_MOST_CHUNKS = 10_000
_MOST_FRAMES = 5000


@dataclass(slots=True)
class _Picture:
    flags: int = 0
    canvas: tuple[int, int] | None = None
    bitstream: tuple[int, int] | None = None
    profile: bytes | None = None
    orientation: int = exif.UPRIGHT
    frames: int = 0
    parts: list[Bytes] = field(default_factory=list)


def clean(data: bytes) -> Cleaned:
    """Keep what the picture is made of; raises ContentDamaged or PictureTooLarge."""
    cursor = Cursor(data)
    if bytes(cursor.take(4)) != b"RIFF":
        raise ContentDamaged(problem="it does not begin like a WebP")
    body = cursor.sub(cursor.little(4))
    if bytes(body.take(4)) != b"WEBP":
        raise ContentDamaged(problem="it does not begin like a WebP")
    picture = _Picture()
    for kind, chunk in at_most(_MOST_CHUNKS, chunks(body)):
        _take(picture, kind, chunk)
    size = picture.canvas or picture.bitstream
    if size is None or not (picture.frames or picture.bitstream):
        raise ContentDamaged(problem="there is no picture in it")
    bounded(*size, max(picture.frames, 1))
    return Cleaned(_assembled(picture), *size, picture.orientation, decoded=False)


def chunks(body: Cursor) -> Iterator[tuple[bytes, Cursor]]:
    """The chunks of a RIFF body: name and content. The last one's padding may be missing."""
    while body.left:
        kind, size = bytes(body.take(4)), body.little(4)
        yield kind, body.sub(size)
        if size % 2 and body.left:
            body.take(1)


def _take(picture: _Picture, kind: bytes, chunk: Cursor) -> None:
    content = chunk.data[chunk.at : chunk.end]
    if kind == b"VP8X" and picture.canvas is None and not picture.parts:
        picture.flags = chunk.number(1)
        chunk.take(3)
        picture.canvas = chunk.little(3) + 1, chunk.little(3) + 1
        bounded(*picture.canvas)
    elif kind in _FRAME_PARTS:
        if kind != b"ALPH":
            picture.bitstream = picture.bitstream or _size(kind, chunk)
            bounded(*picture.bitstream)
        picture.parts += chunk_of(kind, content)
    elif kind == b"ICCP":
        picture.profile = icc.without_texts(bytes(content))
    elif kind == b"EXIF":
        picture.orientation = exif.orientation(bytes(content).removeprefix(b"Exif\0\0"))
    elif kind == b"ANIM":
        picture.parts += chunk_of(kind, chunk.take(6))
    elif kind == b"ANMF":
        _frame(picture, chunk)


def _frame(picture: _Picture, chunk: Cursor) -> None:
    picture.frames += 1
    if picture.canvas is None or picture.frames > _MOST_FRAMES:
        raise ContentDamaged(problem=f"its frames have no canvas, or are more than {_MOST_FRAMES}")
    bounded(*picture.canvas, picture.frames)
    kept: list[Bytes] = [chunk.take(16)]
    for kind, part in at_most(_MOST_CHUNKS, chunks(chunk)):
        if kind in _FRAME_PARTS:
            if kind != b"ALPH":
                bounded(*_size(kind, Cursor(part.data, part.at, part.end)))
            kept += chunk_of(kind, part.data[part.at : part.end])
    picture.parts += chunk_of(b"ANMF", b"".join(kept))


def _size(kind: bytes, chunk: Cursor) -> tuple[int, int]:
    """Width and height that a bitstream claims."""
    if kind == b"VP8L":
        if chunk.number(1) != 0x2F:
            raise ContentDamaged(problem="its pixels can't be read")
        packed = chunk.little(4)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if bytes(chunk.take(6)[3:]) != b"\x9d\x01\x2a":
        raise ContentDamaged(problem="its pixels can't be read")
    return chunk.little(2) & 0x3FFF, chunk.little(2) & 0x3FFF


def chunk_of(kind: bytes, content: Bytes) -> list[Bytes]:
    """A RIFF chunk with its padding."""
    return [kind + struct.pack("<I", len(content)), content, b"\0" * (len(content) % 2)]


def _assembled(picture: _Picture) -> list[Bytes]:
    head: list[Bytes] = []
    if picture.canvas is not None:
        kept = picture.flags & (_FLAG_ALPHA | _FLAG_ANIMATED) | (_FLAG_ICC if picture.profile else 0)
        sides = b"".join((side - 1).to_bytes(3, "little") for side in picture.canvas)
        head += chunk_of(b"VP8X", bytes((kept, 0, 0, 0)) + sides)
        if picture.profile:
            head += chunk_of(b"ICCP", picture.profile)
    parts = [*head, *picture.parts]
    size = 4 + sum(len(part) for part in parts)
    return [b"RIFF" + struct.pack("<I", size) + b"WEBP", *parts]
