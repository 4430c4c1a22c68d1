"""PNG and APNG (W3C PNG 3rd edition): chunks that make the picture stay; every row is looked at.

What follows the last row inside the compressed stream, where editors have left what was cropped away
(CVE-2023-21036), goes with what follows the end of the file.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from services.assets.domain.media import exif, icc
from services.assets.domain.media.cleaned import Bytes, Cleaned, bounded
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.media.rows import Shape, end_of_rows
from services.assets.domain.refusals import ContentDamaged

START = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
# Chunks of a fixed meaning and size: nothing can be hidden in them.
_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"cICP": 4, b"acTL": 8, b"fcTL": 26}
_END = b"IEND", b""
_MOST_CHUNKS = 100_000
_MOST_FRAMES = 5000


@dataclass(slots=True)
class _Picture:
    width: int
    height: int
    bits: int
    palette: bool
    interlaced: bool
    header: bytes
    before: list[Bytes] = field(default_factory=list)
    data: list[memoryview] = field(default_factory=list)
    after: list[Bytes] = field(default_factory=list)
    animated: bool = False
    frame: Shape | None = None
    frame_data: list[memoryview] = field(default_factory=list)
    frames: int = 0
    seen: set[bytes] = field(default_factory=set)
    orientation: int = exif.UPRIGHT

    def shape(self, width: int, height: int) -> Shape:
        return Shape(width, height, self.bits, self.interlaced)


def clean(data: bytes) -> Cleaned:
    """Keep what the picture is made of; raises ContentDamaged or PictureTooLarge."""
    cursor = Cursor(data)
    if bytes(cursor.take(8)) != START:
        raise ContentDamaged(problem="it does not begin like a PNG")
    picture = _begun(*_chunk(cursor))
    for kind, body in at_most(_MOST_CHUNKS, iter(lambda: _chunk(cursor), _END)):
        _take(picture, kind, body)
    _end_frame(picture)
    if not picture.data or (picture.palette and b"PLTE" not in picture.seen):
        raise ContentDamaged(problem="there is no picture in it")
    pixels = _rows(picture.data, picture.shape(picture.width, picture.height))
    parts = (START, picture.header, *picture.before, *pixels, *picture.after, _made(b"IEND", b""))
    return Cleaned(parts, picture.width, picture.height, picture.orientation)


def _chunk(cursor: Cursor) -> tuple[bytes, memoryview]:
    size, start = cursor.number(4), cursor.at
    kind, body = bytes(cursor.take(4)), cursor.take(size)
    if zlib.crc32(cursor.data[start : start + 4 + size]) != cursor.number(4):
        raise ContentDamaged(problem="the checksum of one of its parts is wrong")
    return kind, body


def _made(kind: bytes, body: Bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)))


def _begun(kind: bytes, body: memoryview) -> _Picture:
    if kind != b"IHDR" or len(body) != 13:
        raise ContentDamaged(problem="its first part is not a header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    lawful = depth in _DEPTHS.get(colour, ()) and not compression and not filtering and interlace < 2
    if not lawful or not 0 < width < 2**31 or not 0 < height < 2**31:
        raise ContentDamaged(problem="its header makes no sense")
    bounded(width, height)
    return _Picture(width, height, depth * _CHANNELS[colour], colour == 3, bool(interlace), _made(kind, body))


def _take(picture: _Picture, kind: bytes, body: memoryview) -> None:
    if kind == b"IDAT":
        if picture.after or picture.frame_data:
            raise ContentDamaged(problem="its parts are out of order")
        picture.data.append(body)
    elif kind in {b"fcTL", b"fdAT", b"acTL"}:
        _animate(picture, kind, body)
    elif kind == b"eXIf":
        picture.orientation = exif.orientation(body)
    elif kind in {b"PLTE", b"tRNS", b"iCCP"} or kind in _SIZES:
        _keep(picture, kind, body)
    elif not kind[0] & 0x20:
        raise ContentDamaged(problem="it has a part that no reader knows")


def _keep(picture: _Picture, kind: bytes, body: memoryview) -> None:
    if picture.data or kind in picture.seen:
        return  # these mean something once, before the pixels
    picture.seen.add(kind)
    if kind == b"iCCP":
        profile = _profile(bytes(body))
        if profile is not None:
            picture.before.append(_made(kind, b"icc\0\0" + zlib.compress(profile, 9)))
        return
    limit = _SIZES.get(kind, 768 if kind == b"PLTE" else 256)
    if len(body) > limit or (kind in _SIZES and len(body) != limit) or (kind == b"PLTE" and len(body) % 3):
        raise ContentDamaged(problem="one of its parts is longer than what it says")
    picture.before.append(_made(kind, body))


def _profile(body: bytes) -> bytes | None:
    _, _, rest = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], icc.LARGEST + 1)
    except zlib.error:
        return None
    return icc.without_texts(profile)


def _animate(picture: _Picture, kind: bytes, body: memoryview) -> None:
    if kind == b"acTL":
        picture.animated = picture.animated or not picture.data
        _keep(picture, kind, body)
    elif not picture.animated:
        return
    elif kind == b"fdAT":
        if picture.frame is None or len(body) < 4 or not picture.data:
            raise ContentDamaged(problem="its parts are out of order")
        picture.frame_data.append(body[4:])
        picture.after.append(_made(kind, body))
    else:
        _end_frame(picture)
        _begin_frame(picture, body)


def _begin_frame(picture: _Picture, body: memoryview) -> None:
    if len(body) != _SIZES[b"fcTL"]:
        raise ContentDamaged(problem="one of its parts is longer than what it says")
    width, height, left, top = struct.unpack_from(">IIII", body, 4)
    if not width or not height or left + width > picture.width or top + height > picture.height:
        raise ContentDamaged(problem="one of its frames lies outside the picture")
    picture.frames += 1
    bounded(picture.width, picture.height, picture.frames)
    if picture.frames > _MOST_FRAMES:
        raise ContentDamaged(problem=f"it has more than {_MOST_FRAMES} frames")
    picture.frame = picture.shape(width, height)
    (picture.after if picture.data else picture.before).append(_made(b"fcTL", body))


def _end_frame(picture: _Picture) -> None:
    """Look at the rows of the frame that is over; the first may be the picture itself and has none."""
    if picture.frame is not None and picture.frame_data:
        joined = b"".join(picture.frame_data)
        if end_of_rows(joined, picture.frame) != len(joined):
            raise ContentDamaged(problem="there is something behind one of its frames")
    picture.frame, picture.frame_data = None, []


def _rows(data: list[memoryview], shape: Shape) -> list[Bytes]:
    """The chunks of the picture; as they were, if they end where its last row does."""
    joined = b"".join(data)
    end = end_of_rows(joined, shape)
    if end == len(joined):
        return [_made(b"IDAT", part) for part in data]
    return [_made(b"IDAT", joined[:end])]
