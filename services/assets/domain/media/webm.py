"""WebM (RFC 9559): pictures and sound stay, in a new file around them.

Of the old file only what is listed here is read: what the tracks are, and the blocks of pictures and sound.
Tags, attachments, chapters, titles, dates, names of programs, subtitles and unknown elements are not carried
over; the index is made anew. What stands inside coded pictures is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.assets.domain.media import webm_tracks
from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.ebml import Kind, Reader, Schema, Value, element, variable, written
from services.assets.domain.media.webm_tracks import Track
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"\x1a\x45\xdf\xa3"
_MOST_ELEMENTS = 1_000_000
_MOST_LACED = 64
_EBML, _SEGMENT, _DOC_TYPE = 0x1A45DFA3, 0x18538067, 0x4282
_SEEK, _INFO, _TRACKS, _CLUSTER, _CUES = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B
_TAGS, _ATTACHMENTS, _CHAPTERS = 0x1254C367, 0x1941A469, 0x1043A770
_TOP = frozenset({_SEEK, _INFO, _TRACKS, _CLUSTER, _CUES, _TAGS, _ATTACHMENTS, _CHAPTERS})
_TIME, _SIMPLE, _GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
_SCALE, _DURATION, _MUXER, _WRITER = 0x2AD7B1, 0x4489, 0x4D80, 0x5741
_TIMED: Schema = {_SCALE: Kind.UNSIGNED, _DURATION: Kind.FLOAT}
_ABOUT: Schema = {**_TIMED, _MUXER: Kind.BYTES, _WRITER: Kind.BYTES}
_UNTIMED: dict[int, Value] = {_MUXER: b"-", _WRITER: b"-"}
_REFERENCE, _ADDITIONS, _MORE, _ADDITION_ID, _ADDITIONAL = 0xFB, 0x75A1, 0xA6, 0xEE, 0xA5
_GROUP_SCHEMA: Schema = {
    _BLOCK: Kind.BYTES, 0x9B: Kind.UNSIGNED, _REFERENCE: Kind.SIGNED, 0x75A2: Kind.SIGNED,
    _ADDITIONS: {_MORE: {_ADDITION_ID: Kind.UNSIGNED, _ADDITIONAL: Kind.BYTES}},
}  # fmt: skip
_CUE, _CUE_TIME, _CUE_PLACES, _CUE_TRACK, _CUE_AT = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
_CUE_SCHEMA: Schema = {
    _CUE_TIME: Kind.UNSIGNED, _CUE_PLACES: {_CUE_TRACK: Kind.UNSIGNED, _CUE_AT: Kind.UNSIGNED},
}  # fmt: skip
_SOUGHT, _SOUGHT_ID, _SOUGHT_AT = 0x4DBB, 0x53AB, 0x53AC
_KEY, _INVISIBLE, _LACED, _DISCARDABLE = 0x80, 0x08, 0x06, 0x01
_LACED_AS_XIPH, _LACED_EVENLY = 0x02, 0x04
_LATEST = 1 << 56
_HEADER = element(
    _EBML, element(0x4286, b"\1"), element(0x42F7, b"\1"), element(0x42F2, b"\4"), element(0x42F3, b"\x08"),
    element(_DOC_TYPE, b"webm"), element(0x4287, b"\4"), element(0x4285, b"\2"),
)  # fmt: skip


class _Block(NamedTuple):
    """Frames of a track, with the number, time and flags before them."""

    track: Track
    time: int
    head: bytes
    frames: memoryview
    key: bool


@dataclass(slots=True)
class _Clip:
    """What stays, as it is found."""

    reader: Reader
    about: bytes = b""
    tracks: dict[int, Track] = field(default_factory=dict)
    clusters: bytearray = field(default_factory=bytearray)
    keys: list[tuple[int, int, int]] = field(default_factory=list)
    """When, of which track, in the cluster that begins where."""


def clean(data: bytes) -> Cleaned:
    """Write anew what is picture or sound; raises ContentDamaged or ContentUnsupported."""
    clip = _Clip(Reader(_MOST_ELEMENTS))
    for identifier, body in _top(clip.reader, _segment(clip.reader, Cursor(data))):
        if identifier == _TRACKS and not clip.tracks:
            clip.tracks = webm_tracks.read(clip.reader, body)
        elif identifier == _CLUSTER:
            _cluster(clip, body)
        elif identifier == _INFO and not clip.about:
            clip.about = _info(clip.reader, body)
        elif identifier in {_TRACKS, _INFO}:
            raise ContentDamaged(problem="it says one thing twice")
    shown = next((track for track in clip.tracks.values() if track.size), None)
    if shown is None or not clip.keys:
        raise ContentUnsupported(problem="there are no moving pictures in it")
    return Cleaned(_assembled(clip), *(shown.size or ()))


def is_webm(data: bytes) -> bool:
    """Whether this is EBML that says it is WebM."""
    if not data.startswith(START):
        return False
    try:
        return _doc_type(Reader(50), Cursor(data)) == b"webm"
    except ContentDamaged:
        return False


def _doc_type(reader: Reader, cursor: Cursor) -> object:
    identifier, size = reader.head(cursor)
    if identifier != _EBML or size is None:
        raise ContentDamaged(problem="it does not begin like WebM")
    said = reader.values(cursor.sub(size), {_DOC_TYPE: Kind.BYTES}).get(_DOC_TYPE)
    return said.rstrip(b"\0") if isinstance(said, bytes) else None


def _segment(reader: Reader, cursor: Cursor) -> Cursor:
    if _doc_type(reader, cursor) != b"webm":
        raise ContentDamaged(problem="it does not begin like WebM")
    identifier, size = reader.head(cursor)
    if identifier != _SEGMENT:
        raise ContentDamaged(problem="it does not begin like WebM")
    return cursor.sub(cursor.left if size is None else size)


def _top(reader: Reader, segment: Cursor) -> Iterator[tuple[int, Cursor]]:
    """The parts of the top. A cluster that does not say how long it is was written while it was recorded."""
    while segment.left:
        identifier, size = reader.head(segment)
        if size is None:
            if identifier != _CLUSTER:
                raise ContentDamaged(problem="one of its parts has no length")
            size = _to_next_top(reader, Cursor(segment.data, segment.at, segment.end))
        yield identifier, segment.sub(size)


def _to_next_top(reader: Reader, cursor: Cursor) -> int:
    """How many bytes there are up to the next part of the top."""
    start = cursor.at
    while cursor.left:
        here = cursor.at
        identifier, size = reader.head(cursor)
        if identifier in _TOP:
            return here - start
        if size is None:
            raise ContentDamaged(problem="one of its parts has no length")
        cursor.take(size)
    return cursor.at - start


def _info(reader: Reader, body: Cursor) -> bytes:
    """How time is counted, and how long it lasts; programs have to be named."""
    return written({**reader.values(body, _TIMED), **_UNTIMED}, _ABOUT)


def _cluster(clip: _Clip, body: Cursor) -> None:
    time, key, blocks = None, None, bytearray()
    for identifier, part in clip.reader.elements(body):
        block: _Block | None = None
        if identifier == _TIME and time is None:
            time = part.number(part.left)
        elif identifier == _SIMPLE:
            block = _block(clip.tracks, part, _KEY | _INVISIBLE | _LACED | _DISCARDABLE)
            blocks += element(_SIMPLE, block.head, block.frames) if block else b""
        elif identifier == _GROUP:
            block, group = _group(clip, part)
            blocks += group
        if key is None and block and block.key and block.track.size:
            key = block
    if time is None or time >= _LATEST:
        raise ContentDamaged(problem="a part of it does not say when it is")
    if key:
        clip.keys.append((max(0, time + key.time), key.track.number, len(clip.clusters)))
    if blocks:
        clip.clusters += element(_CLUSTER, written({_TIME: time}, {_TIME: Kind.UNSIGNED}), blocks)


def _block(tracks: Mapping[int, Track], body: Cursor, flags: int) -> _Block | None:
    """A block of a track that stays, with these flags of it; None if it is of another."""
    if not tracks:
        raise ContentDamaged(problem="it does not say first what is in it")
    track = tracks.get(variable(body) or 0)
    time, said = bytes(body.take(2)), body.number(1) & flags
    if track is None:
        return None
    frames = body.data[body.at : body.end]
    if said & _LACED:
        _check_lacing(body, said & _LACED)
    head = bytes((0x80 | track.number,)) + time + bytes((said,))
    return _Block(track, int.from_bytes(time, signed=True), head, frames, key=bool(said & _KEY))


def _check_lacing(body: Cursor, kind: int) -> None:
    """Several frames in one block (RFC 9559, 10.3): their sizes have to fit."""
    count = body.number(1)
    if count >= _MOST_LACED:
        raise ContentDamaged(problem="it has too many parts")
    if kind == _LACED_EVENLY:
        fits = body.left % (count + 1) == 0
    elif kind == _LACED_AS_XIPH:
        sizes = 0
        while count:
            sizes += (lace := body.number(1))
            count -= lace < 255
        fits = sizes <= body.left
    else:
        size, sizes = 0, 0
        for number in range(count):
            here = body.at
            read = variable(body) or 0
            # From the second on it is the difference to the one before.
            size += read - ((1 << 7 * (body.at - here) - 1) - 1 if number else 0)
            sizes += size if size >= 0 else body.end
        fits = sizes <= body.left
    if not fits:
        raise ContentDamaged(problem="one of its blocks is damaged")


def _group(clip: _Clip, body: Cursor) -> tuple[_Block | None, bytes]:
    """A block with what is said about it alone; nothing if it is of a track that goes."""
    said = clip.reader.values(body, _GROUP_SCHEMA, repeated=_REFERENCE)
    content = said.pop(_BLOCK, None)
    block = _block(clip.tracks, Cursor(content), _INVISIBLE | _LACED) if isinstance(content, bytes) else None
    if block is None:
        return None, b""
    additions = said.pop(_ADDITIONS, None)
    more = additions.get(_MORE) if isinstance(additions, dict) and block.track.alpha else None
    if isinstance(more, dict) and more.setdefault(_ADDITION_ID, 1) == 1 and _ADDITIONAL in more:
        said[_ADDITIONS] = {_MORE: more}
    rest = written(said, _GROUP_SCHEMA)
    return block._replace(key=_REFERENCE not in said), element(
        _GROUP, element(_BLOCK, block.head, block.frames), rest
    )


def _assembled(clip: _Clip) -> tuple[bytes | bytearray, ...]:
    """The file: an index of its parts, its parts, an index of its pictures."""
    about = element(_INFO, clip.about or written(_UNTIMED, _ABOUT))
    tracks = element(_TRACKS, *(track.entry for track in clip.tracks.values()))
    first = len(_sought((0, 0, 0)))
    base = first + len(about) + len(tracks)
    cues = element(_CUES, *(_cue(time, track, base + at) for time, track, at in clip.keys))
    sought = _sought((first, first + len(about), base + len(clip.clusters)))
    size = (base + len(clip.clusters) + len(cues) | 1 << 56).to_bytes(8)
    return _HEADER, _SEGMENT.to_bytes(4) + size, sought, about, tracks, clip.clusters, cues


def _sought(places: tuple[int, int, int]) -> bytes:
    """Where in the segment what it is about, tracks and cues are; always of one length."""
    named = zip((_INFO, _TRACKS, _CUES), places, strict=True)
    return element(_SEEK, *(
        element(_SOUGHT, element(_SOUGHT_ID, name.to_bytes(4)), element(_SOUGHT_AT, at.to_bytes(8)))
        for name, at in named
    ))  # fmt: skip


def _cue(time: int, track: int, at: int) -> bytes:
    places: dict[int, Value] = {_CUE_TIME: time, _CUE_PLACES: {_CUE_TRACK: track, _CUE_AT: at}}
    return element(_CUE, written(places, _CUE_SCHEMA))
