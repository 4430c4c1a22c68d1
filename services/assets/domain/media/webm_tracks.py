"""What the tracks of a WebM are (RFC 9559, 5.1.4): what a player needs of pictures and sound."""

from __future__ import annotations

from typing import NamedTuple

from services.assets.domain.media import codecs, opus, vorbis
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.ebml import Kind, Reader, Schema, Value, element, written
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_ENTRY = 0xAE
_MOST, _LARGEST_NUMBER = 64, 126
_NUMBER, _UID, _TYPE, _CODEC, _PRIVATE = 0xD7, 0x73C5, 0x83, 0x86, 0x63A2
_LANGUAGE, _ADDITIONS_MOST, _ENCODINGS = 0x22B59C, 0x55EE, 0x6D80
_VIDEO, _AUDIO, _WIDTH, _HEIGHT, _ALPHA = 0xE0, 0xE1, 0xB0, 0xBA, 0x53C0
_PICTURES, _SOUND = 1, 2
_U, _F, _B = Kind.UNSIGNED, Kind.FLOAT, Kind.BYTES
# Matrix, bits, chroma, range, transfer, primaries, light levels, and the display it was mastered on.
_COLOUR: Schema = {
    **dict.fromkeys(range(0x55B1, 0x55BE), _U),
    0x55D0: dict.fromkeys(range(0x55D1, 0x55DB), _F),
}
_SCHEMA: Schema = {
    _NUMBER: _U, _UID: _U, _TYPE: _U,
    0xB9: _U, 0x88: _U, 0x9C: _U,  # enabled, default, laced
    0x23E383: _U,  # how long a frame lasts
    _ADDITIONS_MOST: _U, _LANGUAGE: _B, _CODEC: _B, _PRIVATE: _B,
    0x56AA: _U, 0x56BB: _U,  # what a decoder starts with, and needs after a jump
    _VIDEO: {
        0x9A: _U, 0x9D: _U, 0x53B8: _U, _ALPHA: _U,  # interlaced, order of fields, stereo
        _WIDTH: _U, _HEIGHT: _U,
        0x54AA: _U, 0x54BB: _U, 0x54CC: _U, 0x54DD: _U,  # cut off at the bottom, top, left and right
        0x54B0: _U, 0x54BA: _U, 0x54B2: _U,  # shown that wide and high
        0x55B0: _COLOUR,
        0x7670: {0x7671: _U, 0x7673: _F, 0x7674: _F, 0x7675: _F},  # projected, and turned
    },
    _AUDIO: {0xB5: _F, 0x78B5: _F, 0x9F: _U, 0x6264: _U},  # rate, rate when heard, channels, bits
}  # fmt: skip


class Track(NamedTuple):
    """A track that stays: number, entry, and of pictures width and height, and whether they have alpha."""

    number: int
    entry: bytes
    size: tuple[int, int] | None
    alpha: bool


def read(reader: Reader, tracks: Cursor) -> dict[int, Track]:
    """The tracks of pictures and sound, by number; raises a refusal."""
    found: dict[int, Track] = {}
    for identifier, body in reader.elements(tracks):
        track = _track(reader, body) if identifier == _ENTRY else None
        if track is None:
            continue
        if track.number in found or len(found) >= _MOST:
            raise ContentDamaged(problem="two of its tracks have one number, or it has too many")
        found[track.number] = track
    if not found:
        raise ContentUnsupported(problem="there are no moving pictures in it")
    return found


def _track(reader: Reader, body: Cursor) -> Track | None:
    said = reader.values(body, {**_SCHEMA, _ENCODINGS: _B})
    if said.get(_TYPE) not in {_PICTURES, _SOUND}:
        return None
    number, codec = said.get(_NUMBER), said.get(_CODEC)
    if _ENCODINGS in said:
        raise ContentUnsupported(problem="it is encrypted, or compressed twice")
    if not isinstance(number, int) or not 1 <= number <= _LARGEST_NUMBER or not isinstance(codec, bytes):
        raise ContentDamaged(problem="one of its tracks is not described to the end")
    codec = codec.rstrip(b"\0")
    private, _ = said.pop(_PRIVATE, b""), said.pop(_ADDITIONS_MOST, 0)
    told = _private(codec, private if isinstance(private, bytes) else b"")
    size, alpha = _shown(said) if said[_TYPE] == _PICTURES else (None, False)
    said |= {_UID: number, _CODEC: codec, _LANGUAGE: b"und"}
    if told:
        said[_PRIVATE] = told
    if alpha:
        said[_ADDITIONS_MOST] = 1
    return Track(number, element(_ENTRY, written(said, _SCHEMA)), size, alpha)


def _shown(said: dict[int, Value]) -> tuple[tuple[int, int], bool]:
    video = said.get(_VIDEO)
    width, height = (video.get(_WIDTH, 0), video.get(_HEIGHT, 0)) if isinstance(video, dict) else (0, 0)
    if not isinstance(width, int) or not isinstance(height, int) or not isinstance(video, dict):
        raise ContentDamaged(problem="its pictures have no size")
    if not 0 < width < 65_536 or not 0 < height < 65_536:
        raise ContentDamaged(problem="its pictures have no size")
    return (width, height), video.get(_ALPHA) == 1


def _private(codec: bytes, content: bytes) -> bytes:
    """What a decoder is told before the first frame."""
    if codec == b"V_VP8":
        return b""
    if codec == b"V_VP9":
        return codecs.vp9_features(Cursor(content))
    if codec == b"V_AV1":
        return codecs.av1(Cursor(content)) if content else b""
    if codec == b"A_OPUS":
        return opus.head(content)
    if codec == b"A_VORBIS":
        return _vorbis(Cursor(content))
    raise ContentUnsupported(problem="it has a track that is neither VP8, VP9, AV1, Opus nor Vorbis")


def _vorbis(cursor: Cursor) -> bytes:
    """Its three headers, with the sizes of the first two before them."""
    if cursor.number(1) != 2:
        raise ContentDamaged(problem="its sound has no headers")
    sizes = []
    for _ in range(2):
        size = 0
        while (lace := cursor.number(1)) == 255:
            size += lace
        sizes.append(size + lace)
    first, second = (bytes(cursor.take(size)) for size in sizes)
    kept = vorbis.headers(first, second, bytes(cursor.take(cursor.left)))
    return bytes((2, len(kept[0]), len(kept[1]))) + b"".join(kept)
