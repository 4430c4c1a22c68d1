"""WebM (RFC 9559): pictures and sound stay; everything else becomes void where it stands.

Nothing moves, so that no position changes. Tags, attachments, chapters, titles, dates and names
of programs go. What stands inside coded pictures is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.media.ogg import NO_COMMENTS
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"\x1a\x45\xdf\xa3"
_MOST_ELEMENTS = 1_000_000
_EBML, _SEGMENT, _DOC_TYPE = 0x1A45DFA3, 0x18538067, 0x4282
_SEEK, _INFO, _TRACKS, _CLUSTER, _CUES = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B
_TAGS, _ATTACHMENTS, _CHAPTERS = 0x1254C367, 0x1941A469, 0x1043A770
_TOP = frozenset({_SEEK, _INFO, _TRACKS, _CLUSTER, _CUES, _TAGS, _ATTACHMENTS, _CHAPTERS})
_HEADER_KEPT = frozenset({0x4286, 0x42F7, 0x42F2, 0x42F3, _DOC_TYPE, 0x4287, 0x4285})
_INFO_KEPT, _PROGRAMS = frozenset({0x2AD7B1, 0x4489}), frozenset({0x4D80, 0x5741})
_TRACK, _TRACK_TYPE, _CODEC, _PRIVATE, _VIDEO = 0xAE, 0x83, 0x86, 0x63A2, 0xE0
_TRACK_KEPT = frozenset({
    0xD7, 0x73C5, _TRACK_TYPE, 0xB9, 0x88, 0x55AA, 0x9C, 0x23E383, 0x22B59C, 0x22B59D, _CODEC, _PRIVATE,
    0x56AA, 0x56BB, _VIDEO, 0xE1, 0x55EE, 0x6DE7,
})  # fmt: skip
_CLUSTER_KEPT = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7})
_WIDTH, _HEIGHT = 0xB0, 0xBA
_CODECS = frozenset({b"V_VP8", b"V_VP9", b"V_AV1", b"A_OPUS", b"A_VORBIS"})


@dataclass(frozen=True, slots=True)
class _Element:
    id: int
    start: int
    body: int
    end: int


def clean(data: bytes) -> Cleaned:
    """Void what is neither picture nor sound; raises ContentDamaged or ContentUnsupported."""
    content = bytearray(data)
    elements = _elements(content, 0, len(content))
    header, segment = next(elements, None), next(elements, None)
    if header is None or segment is None or header.id != _EBML or segment.id != _SEGMENT:
        raise ContentDamaged(problem="it does not begin like WebM")
    _only(content, header, _HEADER_KEPT)
    size: tuple[int, int] | None = None
    for element in at_most(_MOST_ELEMENTS, _elements(content, segment.body, segment.end)):
        if element.id == _TRACKS:
            size = size or _tracks(content, element)
        elif element.id == _INFO:
            _info(content, element)
        elif element.id == _CLUSTER:
            _only(content, element, _CLUSTER_KEPT)
        elif element.id not in {_SEEK, _CUES}:
            _void(content, element)
    if size is None:
        raise ContentUnsupported(problem="there are no moving pictures in it")
    return Cleaned((memoryview(content)[: segment.end],), *size)


def is_webm(data: bytes) -> bool:
    """Whether this is EBML that says it is WebM."""
    if not data.startswith(START):
        return False
    try:
        header = _element(data, 0, len(data))
        children = list(at_most(50, _elements(data, header.body, header.end)))
    except ContentDamaged:
        return False
    types = [data[child.body : child.end] for child in children if child.id == _DOC_TYPE]
    return len(types) == 1 and types[0].rstrip(b"\0") == b"webm"


def _elements(content: bytes | bytearray, start: int, end: int) -> Iterator[_Element]:
    at = start
    while at < end:
        element = _element(content, at, end)
        yield element
        at = element.end


def _element(content: bytes | bytearray, start: int, end: int) -> _Element:
    cursor = Cursor(content, start, end)
    identifier = _identifier(cursor)
    first = cursor.number(1)
    more = 8 - first.bit_length()
    if more > 7:
        raise ContentDamaged(problem="one of its parts has no length")
    size = (first ^ 0x80 >> more) << 8 * more | cursor.number(more)
    if size != (1 << 7 * (more + 1)) - 1:
        cursor.take(size)
        return _Element(identifier, start, cursor.at - size, cursor.at)
    if identifier not in {_SEGMENT, _CLUSTER}:
        raise ContentDamaged(problem="one of its parts has no length")
    # Written while it was recorded, by a program that did not know how long it would get.
    last = end if identifier == _SEGMENT else _next_top(content, cursor.at, end)
    return _Element(identifier, start, cursor.at, last)


def _identifier(cursor: Cursor) -> int:
    first = cursor.number(1)
    more = 8 - first.bit_length()
    if more > 3:
        raise ContentDamaged(problem="there is something between its parts")
    return first << 8 * more | cursor.number(more)


def _next_top(content: bytes | bytearray, at: int, end: int) -> int:
    """Where the next part of the top begins. Its own end is not asked for: that may need the one after it."""
    for _ in at_most(_MOST_ELEMENTS, repeat(None)):
        if at >= end or _identifier(Cursor(content, at, end)) in _TOP:
            break
        at = _element(content, at, end).end
    return min(at, end)


def _void(content: bytearray, element: _Element) -> None:
    size = element.end - element.start
    length = (1 << 56 | (size - 9)).to_bytes(8, "big") if size >= 9 else bytes((0x80 | (size - 2),))
    content[element.start : element.end] = b"\xec" + length + bytes(size - 1 - len(length))


def _only(content: bytearray, parent: _Element, kept: frozenset[int]) -> dict[int, _Element]:
    """Void all children but these; answers these, the last of each kind."""
    children = {}
    for child in at_most(_MOST_ELEMENTS, _elements(content, parent.body, parent.end)):
        if child.id in kept:
            children[child.id] = child
        else:
            _void(content, child)
    return children


def _info(content: bytearray, info: _Element) -> None:
    children = _only(content, info, _INFO_KEPT | _PROGRAMS)
    for element in (children[program] for program in _PROGRAMS if program in children):
        content[element.body : element.end] = bytes(element.end - element.body)


def _tracks(content: bytearray, tracks: _Element) -> tuple[int, int] | None:
    size = None
    for track in at_most(100, _elements(content, tracks.body, tracks.end)):
        if track.id != _TRACK:
            _void(content, track)
            continue
        fields = _only(content, track, _TRACK_KEPT)
        codec = _bytes(content, fields, _CODEC).rstrip(b"\0")
        if codec not in _CODECS:
            raise ContentUnsupported(problem="it has a track that is neither VP8, VP9, AV1, Opus nor Vorbis")
        if codec == b"A_VORBIS" and _PRIVATE in fields:
            _vorbis_headers(content, fields[_PRIVATE])
        if codec.startswith(b"V_") and _VIDEO in fields:
            size = size or _shown(content, fields[_VIDEO])
    return size


def _bytes(content: bytearray, fields: Mapping[int, _Element], name: int) -> bytes:
    element = fields.get(name)
    return bytes(content[element.body : element.end]) if element else b""


def _shown(content: bytearray, video: _Element) -> tuple[int, int]:
    fields = {e.id: e for e in at_most(100, _elements(content, video.body, video.end))}
    width, height = (int.from_bytes(_bytes(content, fields, name)[:8], "big") for name in (_WIDTH, _HEIGHT))
    if not 0 < width < 65_536 or not 0 < height < 65_536:
        raise ContentDamaged(problem="its pictures have no size")
    return width, height


def _vorbis_headers(content: bytearray, private: _Element) -> None:
    """Empty the second of the three headers, keeping its length."""
    cursor = Cursor(content, private.body, private.end)
    sizes = []
    if cursor.number(1) == 2:
        for _ in range(2):
            size = 0
            while (lace := cursor.number(1)) == 255:
                size += lace
            sizes.append(size + lace)
    if len(sizes) < 2:
        raise ContentDamaged(problem="its sound has no headers")
    cursor.take(sizes[0])
    empty, start = NO_COMMENTS[b"\x01vorbis"], cursor.at
    cursor.take(sizes[1])
    if sizes[1] < len(empty):
        raise ContentDamaged(problem="its sound has no headers")
    content[start : start + sizes[1]] = empty + bytes(sizes[1] - len(empty))
