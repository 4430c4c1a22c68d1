"""JPEG (ITU-T T.81): segments that make the picture stay, all others go, and so does what follows the end."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from services.assets.domain.media import exif, icc
from services.assets.domain.media.cleaned import Bytes, Cleaned, bounded
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported, PictureTooLarge

START = b"\xff\xd8"
_EOI, _SOS, _DQT, _DHT, _DRI = 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: what browsers show
_JFIF, _EXIF, _ICC, _ADOBE = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0", b"Adobe"
_MOST_SEGMENTS = 10_000
_ICC_PART = 65_519
# Within a scan FF stands before 00 or a restart marker; before anything else the scan is over.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A scan of a few bytes costs a pass over all pixels when it is decoded.
SCANNED_PIXELS_MOST = 16 * 64 * 1024 * 1024


@dataclass(slots=True)
class _Picture:
    jfif: bytes = b""
    adobe: bytes = b""
    profile: dict[int, bytes] = field(default_factory=dict)
    orientation: int = exif.UPRIGHT
    size: tuple[int, int] | None = None
    components: int = 0
    scans: int = 0
    parts: list[Bytes] = field(default_factory=list)


def clean(data: bytes) -> Cleaned:
    """Keep frame, tables, scans, JFIF's density, Adobe's transform and the colour profile; nothing else.

    Raises ContentDamaged, ContentUnsupported or PictureTooLarge.
    """
    cursor, picture = Cursor(data), _Picture()
    if bytes(cursor.take(2)) != START:
        raise ContentDamaged(problem="it does not begin like a JPEG")
    for marker in at_most(_MOST_SEGMENTS, iter(lambda: _marker(cursor), _EOI)):
        body = cursor.sub(cursor.number(2) - 2)
        if marker == _SOS:
            _scan(picture, body, cursor, data)
        elif _APP0 <= marker <= _APP15:
            _application(picture, marker, bytes(body.data[body.at : body.end]))
        elif marker != _COM:
            _segment(picture, marker, body)
    if picture.size is None or not picture.scans:
        raise ContentDamaged(problem="there is no picture in it")
    return _assembled(picture)


def _marker(cursor: Cursor) -> int:
    if cursor.number(1) != 0xFF:
        raise ContentDamaged(problem="there is something between its parts")
    while (marker := cursor.number(1)) == 0xFF:
        pass
    return marker


def _application(picture: _Picture, marker: int, body: bytes) -> None:
    if marker == _APP0 and body.startswith(_JFIF) and len(body) >= 12:
        # Version, unit, density; the thumbnail, which may show what was cropped away, is left out.
        picture.jfif = body[:12] + b"\0\0"
    elif marker == _APP1 and body.startswith(_EXIF):
        picture.orientation = exif.orientation(body[len(_EXIF) :])
    elif marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
        picture.profile[body[12]] = body[14:]
    elif marker == _APP14 and body.startswith(_ADOBE) and len(body) >= 12:
        picture.adobe = body[:12]


def _segment(picture: _Picture, marker: int, body: Cursor) -> None:
    kept = body.data[body.at : body.end]
    if marker in _FRAMES:
        _frame(picture, body)
    elif marker == _DQT:
        _quantisation(body)
    elif marker == _DHT:
        _huffman(body)
    elif marker != _DRI or len(kept) != 2:
        raise ContentUnsupported(problem="it is a kind of JPEG that browsers do not show")
    picture.parts += [_head(marker, len(kept)), kept]


def _frame(picture: _Picture, body: Cursor) -> None:
    if picture.size is not None:
        raise ContentDamaged(problem="there are two pictures in it")
    precision, height, width, components = body.number(1), body.number(2), body.number(2), body.number(1)
    if precision != 8 or not width or not height or components not in {1, 3, 4}:
        raise ContentUnsupported(problem="its samples are of a kind that browsers do not show")
    bounded(width, height)
    _exactly(body, 3 * components)
    picture.size, picture.components = (width, height), components


def _scan(picture: _Picture, body: Cursor, cursor: Cursor, data: bytes) -> None:
    if picture.size is None:
        raise ContentDamaged(problem="a scan comes before its frame")
    picture.scans += 1
    pixels = picture.size[0] * picture.size[1]
    if pixels * picture.scans > SCANNED_PIXELS_MOST:
        raise PictureTooLarge(pixels=pixels * picture.scans, limit=SCANNED_PIXELS_MOST)
    header = body.data[body.at : body.end]
    _exactly(body, 2 * body.number(1) + 3)
    after = _AFTER_SCAN.search(data, cursor.at)
    if after is None:
        raise ContentDamaged(problem="it ends before its picture does")
    picture.parts += [_head(_SOS, len(header)), header, cursor.take(after.start() - cursor.at)]


def _quantisation(body: Cursor) -> None:
    while body.left:
        body.take(128 if body.number(1) >> 4 else 64)


def _huffman(body: Cursor) -> None:
    while body.left:
        body.take(1)
        body.take(sum(body.take(16)))


def _exactly(body: Cursor, size: int) -> None:
    if body.left != size:
        raise ContentDamaged(problem="one of its parts is longer than what it says")


def _head(marker: int, size: int) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, size + 2)


def _assembled(picture: _Picture) -> Cleaned:
    head: list[Bytes] = [START]
    for marker, body in ((_APP0, picture.jfif), (_APP14, picture.adobe)):
        if body:
            head += [_head(marker, len(body)), body]
    profile = icc.without_texts(b"".join(picture.profile[index] for index in sorted(picture.profile))) or b""
    pieces = [profile[at : at + _ICC_PART] for at in range(0, len(profile), _ICC_PART)]
    for index, piece in enumerate(pieces, 1):
        head += [_head(_APP2, len(piece) + 14), _ICC, bytes((index, len(pieces))), piece]
    width, height = picture.size or (0, 0)
    parts = (*head, *picture.parts, bytes((0xFF, _EOI)))
    return Cleaned(parts, width, height, picture.orientation, decoded=False)
