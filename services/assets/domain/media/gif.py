"""GIF (89a specification): frames, their timing and the loop stay; comments, applications and any tail go."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.assets.domain.media.cleaned import Bytes, Cleaned, bounded
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged

STARTS = (b"GIF87a", b"GIF89a")
_EXTENSION, _FRAME, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
_MOST_PARTS, _MOST_BLOCKS = 20_000, 200_000
_MOST_FRAMES = 5000


@dataclass(slots=True)
class _Picture:
    width: int
    height: int
    frames: int = 0
    parts: list[Bytes] = field(default_factory=list)


def clean(data: bytes) -> Cleaned:
    """Keep what the picture is made of; raises ContentDamaged or PictureTooLarge."""
    cursor = Cursor(data)
    if bytes(cursor.take(6)) not in STARTS:
        raise ContentDamaged(problem="it does not begin like a GIF")
    picture = _Picture(cursor.little(2), cursor.little(2))
    if not picture.width or not picture.height:
        raise ContentDamaged(problem="there is no picture in it")
    _colours(cursor, cursor.number(1), skip=2)
    picture.parts.append(cursor.data[: cursor.at])
    for block in at_most(_MOST_PARTS, iter(lambda: cursor.number(1), _TRAILER)):
        if block == _FRAME:
            _frame(picture, cursor)
        elif block == _EXTENSION:
            _extension(picture, cursor)
        else:
            raise ContentDamaged(problem="there is something between its parts")
    if not picture.frames:
        raise ContentDamaged(problem="there is no picture in it")
    picture.parts.append(bytes((_TRAILER,)))
    return Cleaned(picture.parts, picture.width, picture.height, decoded=False)


def _colours(cursor: Cursor, packed: int, *, skip: int = 0) -> None:
    cursor.take(skip)
    if packed & 0x80:
        cursor.take(3 << ((packed & 7) + 1))


def _frame(picture: _Picture, cursor: Cursor) -> None:
    picture.frames += 1
    bounded(picture.width, picture.height, picture.frames)
    start = cursor.at - 1
    left, top, width, height = (cursor.little(2) for _ in range(4))
    if left + width > picture.width or top + height > picture.height or picture.frames > _MOST_FRAMES:
        raise ContentDamaged(problem=f"its frames lie outside the picture, or are more than {_MOST_FRAMES}")
    _colours(cursor, cursor.number(1))
    cursor.take(1)
    _blocks(cursor)
    picture.parts.append(cursor.data[start : cursor.at])


def _extension(picture: _Picture, cursor: Cursor) -> None:
    start, label = cursor.at - 1, cursor.number(1)
    first = bytes(cursor.data[cursor.at + 1 : cursor.at + 12])
    sizes = _blocks(cursor)
    timing = label == _CONTROL and sizes == [4]
    loop = label == _APPLICATION and first in _LOOPS and sizes == [11, 3]
    if timing or loop:
        picture.parts.append(cursor.data[start : cursor.at])


def _blocks(cursor: Cursor) -> list[int]:
    """Skip sub-blocks with their end; answers their sizes."""
    sizes = []
    for size in at_most(_MOST_BLOCKS, iter(lambda: cursor.number(1), 0)):
        cursor.take(size)
        sizes.append(size)
    return sizes
