"""MP4 (ISO 14496-12): pictures and sound stay, in a new file around them.

Of the old file only what is listed here is read: how pictures and sound are coded, shown and timed, and
the bytes of the samples themselves. Tags, notes, times, names, languages, tracks that are neither picture nor
sound (cameras write where they were in one) and all that no sample refers to are not carried over. What
stands inside coded pictures is not looked at.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from services.assets.domain.media import entries, samples
from services.assets.domain.media.boxes import box, boxes, children, full
from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_FRAGMENTED = frozenset({b"moof", b"mvex", b"sidx", b"styp"})
_SEEN_OR_HEARD = frozenset({b"vide", b"soun"})
_MOST_TRACKS = 64
_MOST_EDITS = 64
_MOST_CHUNKS = 1_000_000
_UNDETERMINED = 0x55C4  # the language "und", as `mdhd` packs it
_TYPE = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2mp41")
_DATA = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1)))
_ONE, _ONE_LAST = 1 << 16, 1 << 30
_UPRIGHT = (_ONE, 0, 0, 0, _ONE, 0, 0, 0, _ONE_LAST)


@dataclass(frozen=True, slots=True)
class _Track:
    """What stays of a track; `head` and `media` are boxes of it, ready."""

    handler: bytes
    head: bytes
    media: bytes
    description: bytes
    size: tuple[int, int] | None
    samples: samples.Samples

    def box(self, offsets: Sequence[int]) -> bytes:
        """The track, whose chunks are there now."""
        seen = self.handler == b"vide"
        table = box(b"stbl", self.description, self.samples.tables, samples.places(offsets))
        header = full(b"vmhd", bytes(8), flags=1) if seen else full(b"smhd", bytes(4))
        handler = full(b"hdlr", bytes(4), self.handler, bytes(13))
        media = box(b"mdia", self.media, handler, box(b"minf", header, _DATA, table))
        return box(b"trak", self.head, media)


def clean(data: bytes) -> Cleaned:
    """Write anew what is picture or sound; raises ContentDamaged or ContentUnsupported."""
    movie, stored = _file(Cursor(data))
    head, tracks = _movie(movie, min(1000 + len(data) // 16, _MOST_CHUNKS))
    size = next((track.size for track in tracks if track.size and track.samples.offsets), None)
    if size is None:
        raise ContentUnsupported(problem="there are no moving pictures in it")
    content, offsets = _collected(data, stored, tracks)
    start = len(_TYPE) + len(_described(head, tracks, offsets)) + 8
    moved = [array("Q", (start + offset for offset in track)) for track in offsets]
    data_head = struct.pack(">I", 8 + len(content)) + b"mdat"
    return Cleaned((_TYPE, _described(head, tracks, moved), data_head, content), *size)


def _described(head: bytes, tracks: Sequence[_Track], offsets: Sequence[Sequence[int]]) -> bytes:
    return box(b"moov", head, *(track.box(places) for track, places in zip(tracks, offsets, strict=True)))


def _file(cursor: Cursor) -> tuple[Cursor, list[tuple[int, int]]]:
    """The description, and where data are."""
    parts = list(_whole(cursor))
    movies = [body for kind, body in parts if kind == b"moov"]
    if not parts or parts[0][0] != b"ftyp" or len(movies) != 1:
        raise ContentDamaged(problem="it does not begin like MP4, or has not one description")
    return movies[0], [(body.at, body.end) for kind, body in parts if kind == b"mdat"]


def _whole(cursor: Cursor) -> list[tuple[bytes, Cursor]]:
    parts = list(boxes(cursor))
    if any(kind in _FRAGMENTED for kind, _ in parts):
        raise ContentUnsupported(problem="it is fragmented MP4")
    return parts


def _movie(movie: Cursor, most_chunks: int) -> tuple[bytes, list[_Track]]:
    parts = _whole(movie)
    heads = [body for kind, body in parts if kind == b"mvhd"]
    bodies = [body for kind, body in parts if kind == b"trak"]
    if len(heads) != 1 or len(bodies) > _MOST_TRACKS:
        raise ContentDamaged(problem="it has not one header, or too many tracks")
    tracks: list[_Track] = []
    for body in bodies:
        track = _track(body, len(tracks) + 1, most_chunks)
        if track is not None:
            tracks.append(track)
            most_chunks -= len(track.samples.offsets)
    return _movie_header(heads[0], len(tracks) + 1), tracks


def _movie_header(cursor: Cursor, next_track: int) -> bytes:
    version, times = _scale_and_duration(cursor)
    cursor.take(16)
    rest = struct.pack(">IH10x36s24xI", _ONE, 0x100, _matrix(cursor), next_track)
    return full(b"mvhd", times, rest, version=version)


def _undated(cursor: Cursor) -> tuple[int, str]:
    """Pass over version, flags and dates of a header; its version, and what kind of numbers it has."""
    version = cursor.number(4) >> 24
    if version > 1:
        raise ContentDamaged(problem="one of its headers is of no known version")
    cursor.take(16 if version else 8)
    return version, "Q" if version else "I"


def _scale_and_duration(cursor: Cursor) -> tuple[int, bytes]:
    """Version of a header of the movie or the media, and its times, without dates."""
    version, kind = _undated(cursor)
    scale, duration = struct.unpack(f">I{kind}", cursor.take(struct.calcsize(f">I{kind}")))
    if not scale:
        raise ContentDamaged(problem="it does not say how its time is counted")
    return version, struct.pack(f">2{kind}I{kind}", 0, 0, scale, duration)


def _matrix(cursor: Cursor) -> bytes:
    """How pictures are turned: by quarters, or mirrored, and moved."""
    matrix = struct.unpack(">9i", cursor.take(36))
    a, b, u, c, d, v, *_, w = matrix
    straight, across = (abs(a), abs(d), b, c), (abs(b), abs(c), a, d)
    if (u, v, w) != (0, 0, _ONE_LAST) or (_ONE, _ONE, 0, 0) not in {straight, across}:
        raise ContentUnsupported(problem="its pictures are turned by something else than quarters")
    return struct.pack(">9i", *matrix)


def _track(track: Cursor, number: int, most_chunks: int) -> _Track | None:
    """What stays of a track; None of one that is neither seen nor heard."""
    parts = _all(children(track, b"tkhd", b"edts", b"mdia"), b"tkhd", b"mdia")
    media = _all(children(parts[b"mdia"], b"mdhd", b"hdlr", b"minf"), b"mdhd", b"hdlr", b"minf")
    handler = bytes(media[b"hdlr"].take(12)[8:])
    if handler not in _SEEN_OR_HEARD:
        return None
    within = _all(children(media[b"minf"], b"dinf", b"stbl"), b"dinf", b"stbl")
    _self_contained(within[b"dinf"])
    tables = _all(children(within[b"stbl"], b"stsd", *samples.NAMES), b"stsd")
    size = None
    if handler == b"vide":
        coded, size = entries.pictures(tables[b"stsd"])
    else:
        coded = entries.sounds(tables[b"stsd"])
    version, times = _scale_and_duration(media[b"mdhd"])
    head = _track_header(parts[b"tkhd"], number)
    edits = _edits(parts[b"edts"]) if b"edts" in parts else b""
    timed = full(b"mdhd", times, struct.pack(">H2x", _UNDETERMINED), version=version)
    found = samples.read(tables, len(coded), most_chunks)
    return _Track(handler, head + edits, timed, entries.description(coded), size, found)


def _all(found: dict[bytes, Cursor], *needed: bytes) -> dict[bytes, Cursor]:
    if not found.keys() >= set(needed):
        raise ContentDamaged(problem="one of its tracks is not described to the end")
    return found


def _track_header(cursor: Cursor, number: int) -> bytes:
    flags = int.from_bytes(cursor.data[cursor.at + 1 : cursor.at + 4], "big") & 0xF
    version, kind = _undated(cursor)
    cursor.take(8)
    duration = cursor.number(struct.calcsize(kind))
    cursor.take(8)
    place = cursor.take(6)
    cursor.take(2)
    matrix, shown = _matrix(cursor), cursor.take(8)
    times = struct.pack(f">2{kind}I4x{kind}8x", 0, 0, number, duration)
    return full(b"tkhd", times, bytes(place) + bytes(2), matrix, bytes(shown), version=version, flags=flags)


def _edits(cursor: Cursor) -> bytes:
    """Which part of the track is played when (8.6.6), at its own speed."""
    table = children(cursor, b"elst").get(b"elst")
    if table is None:
        return b""
    version = table.number(4) >> 24
    row = ">QqI" if version else ">IiI"
    count = table.number(4)
    if count > _MOST_EDITS:
        raise ContentUnsupported(problem="it is cut in too many places")
    rows = [struct.unpack(row, table.take(struct.calcsize(row))) for _ in range(count)]
    if any(speed != _ONE for *_, speed in rows):
        raise ContentUnsupported(problem="a part of it is to be played at another speed")
    written = b"".join(struct.pack(row, *numbers) for numbers in rows)
    return box(b"edts", full(b"elst", struct.pack(">I", count), written, version=version))


def _self_contained(cursor: Cursor) -> None:
    references = _all(children(cursor, b"dref"), b"dref")[b"dref"]
    references.take(8)
    for _, entry in boxes(references):
        if entry.left != 4 or not entry.number(4) & 1:
            raise ContentUnsupported(problem="its data are in another file")


def _collected(
    data: bytes, stored: list[tuple[int, int]], tracks: Sequence[_Track]
) -> tuple[bytearray, list[array[int]]]:
    """The chunks of all tracks in their order in the file, and where each of a track is now."""
    offsets, lengths = array("Q"), array("Q")
    for track in tracks:
        offsets += track.samples.offsets
        lengths += track.samples.lengths
    content, view, moved = bytearray(), memoryview(data), array("Q", bytes(8 * len(offsets)))
    stored.sort()
    at = part = 0
    # An empty one may stand where another begins.
    for index in sorted(range(len(offsets)), key=lambda index: (offsets[index], lengths[index])):
        start, end = offsets[index], offsets[index] + lengths[index]
        while part < len(stored) and stored[part][1] < end:
            part += 1
        if start < at or part == len(stored) or start < stored[part][0]:
            raise ContentDamaged(problem="its data overlap, or lie outside of it")
        moved[index], at = len(content), end
        content += view[start:end]
    counts = [len(track.samples.offsets) for track in tracks]
    return content, [moved[sum(counts[:n]) : sum(counts[: n + 1])] for n in range(len(counts))]
