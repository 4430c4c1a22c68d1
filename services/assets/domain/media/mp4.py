"""MP4 (ISO 14496-12): pictures and sound stay; everything else becomes zero where it stands.

Nothing moves, so that no offset changes. Tags, notes, times, names, unknown boxes and tracks that are
neither picture nor sound (cameras write where they were in one) are blanked, and so are all bytes of
the data that no picture and no sound refers to. What stands inside coded pictures is not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.media.samples import Extent, extents
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_MOST_BOXES = 10_000
_FILE = frozenset({b"ftyp", b"moov", b"mdat"})
_MOVIE = frozenset({b"mvhd", b"trak"})
_TRACK = frozenset({b"tkhd", b"edts", b"mdia"})
_MEDIA = frozenset({b"mdhd", b"hdlr", b"minf", b"elng"})
_INFORMATION = frozenset({b"vmhd", b"smhd", b"dinf", b"stbl"})
_SAMPLES = frozenset({
    b"stsd", b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stco", b"co64", b"stss", b"sdtp", b"sgpd",
    b"sbgp",
})  # fmt: skip
_FRAGMENTED = frozenset({b"moof", b"mvex", b"sidx", b"styp"})
_SEEN_OR_HEARD = frozenset({b"vide", b"soun"})


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    body: int
    end: int


def clean(data: bytes) -> Cleaned:
    """Blank what is neither picture nor sound; raises ContentDamaged or ContentUnsupported."""
    content = bytearray(data)
    boxes = _kept(content, 0, len(content), _FILE)
    movies = [box for box in boxes if box.kind == b"moov"]
    if not boxes or boxes[0].kind != b"ftyp" or len(movies) != 1:
        raise ContentDamaged(problem="it does not begin like MP4, or has not one description")
    used: list[Extent] = []
    size: tuple[int, int] | None = None
    for box in _kept(content, movies[0].body, movies[0].end, _MOVIE):
        if box.kind == b"mvhd":
            _timeless(content, box)
        else:
            shown = _track(content, box, used)
            size = size or shown
    if size is None:
        raise ContentUnsupported(problem="there are no moving pictures in it")
    _only_used(content, [(box.body, box.end) for box in boxes if box.kind == b"mdat"], used)
    return Cleaned((content,), *size)


def _boxes(content: bytearray, start: int, end: int) -> Iterator[_Box]:
    cursor = Cursor(content, start, end)
    while cursor.left:
        at, size, kind = cursor.at, cursor.number(4), bytes(cursor.take(4))
        if size == 1:
            size = cursor.number(8)
        elif size == 0:
            size = end - at
        body = cursor.at
        cursor.take(at + size - body)
        yield _Box(kind, at, body, at + size)


def _kept(content: bytearray, start: int, end: int, kinds: frozenset[bytes]) -> list[_Box]:
    """The boxes of these kinds; all others are blanked."""
    kept = []
    for box in at_most(_MOST_BOXES, _boxes(content, start, end)):
        if box.kind in _FRAGMENTED:
            raise ContentUnsupported(problem="it is fragmented MP4")
        if box.kind in kinds:
            kept.append(box)
        else:
            _blank(content, box)
    return kept


def _blank(content: bytearray, box: _Box) -> None:
    content[box.start + 4 : box.start + 8] = b"free"
    content[box.body : box.end] = bytes(box.end - box.body)


def _timeless(content: bytearray, box: _Box) -> None:
    """Zero when it was made and changed, which headers of movie, track and media begin with."""
    size = 16 if Cursor(content, box.body, box.end).number(1) == 1 else 8
    Cursor(content, box.body, box.end).take(4 + size)
    content[box.body + 4 : box.body + 4 + size] = bytes(size)


def _track(content: bytearray, track: _Box, used: list[Extent]) -> tuple[int, int] | None:
    """Blank what a track need not say; answers the size of its pictures. Drops other kinds of track."""
    parts = {box.kind: box for box in _kept(content, track.body, track.end, _TRACK)}
    media = parts.get(b"mdia")
    inside = _by_kind(content, media, _MEDIA)
    handler, information = inside.get(b"hdlr"), inside.get(b"minf")
    kind = bytes(content[handler.body + 8 : handler.body + 12]) if handler else b""
    if kind not in _SEEN_OR_HEARD or handler is None or b"tkhd" not in parts or b"mdhd" not in inside:
        _blank(content, track)
        return None
    _timeless(content, parts[b"tkhd"])
    _timeless(content, inside[b"mdhd"])
    content[handler.body + 24 : handler.end] = bytes(max(0, handler.end - handler.body - 24))
    within = _by_kind(content, information, _INFORMATION)
    _self_contained(content, within.get(b"dinf"))
    tables = _by_kind(content, within.get(b"stbl"), _SAMPLES)
    used += extents({name: Cursor(content, box.body, box.end) for name, box in tables.items()})
    return _shown(content, tables.get(b"stsd")) if kind == b"vide" else None


def _by_kind(content: bytearray, box: _Box | None, kinds: frozenset[bytes]) -> dict[bytes, _Box]:
    return {part.kind: part for part in _kept(content, box.body, box.end, kinds)} if box else {}


def _self_contained(content: bytearray, box: _Box | None) -> None:
    references = _by_kind(content, box, frozenset({b"dref"})).get(b"dref")
    if references is None:
        raise ContentDamaged(problem="it does not say where its data are")
    cursor = Cursor(content, references.body, references.end)
    cursor.take(8)
    for entry in at_most(_MOST_BOXES, _boxes(content, cursor.at, cursor.end)):
        if entry.end - entry.body != 4 or not content[entry.body + 3] & 1:
            raise ContentUnsupported(problem="its data are in another file")


def _shown(content: bytearray, description: _Box | None) -> tuple[int, int]:
    """Width and height; the name of the encoder is blanked."""
    if description is None:
        raise ContentDamaged(problem="it does not say how its pictures are coded")
    cursor = Cursor(content, description.body, description.end)
    cursor.take(8)
    entry = next(_boxes(content, cursor.at, cursor.end), None)
    if entry is None:
        raise ContentDamaged(problem="it does not say how its pictures are coded")
    fields = Cursor(content, entry.body, entry.end)
    width, height = struct.unpack_from(">HH", fields.take(78), 24)
    content[entry.body + 42 : entry.body + 74] = bytes(32)
    return width, height


def _only_used(content: bytearray, data: list[tuple[int, int]], used: list[Extent]) -> None:
    """Zero what lies in the data and belongs to no picture and no sound."""
    used.sort()
    number = 0
    for start, end in sorted(data):
        at = start
        while number < len(used) and used[number][0] < end:
            first, after = used[number]
            if first < start or after > end:
                raise ContentDamaged(problem="its data lie outside of it")
            if first > at:
                content[at:first] = bytes(first - at)
            at = max(at, after)
            number += 1
        content[at:end] = bytes(end - at)
    if number < len(used):
        raise ContentDamaged(problem="its data lie outside of it")
