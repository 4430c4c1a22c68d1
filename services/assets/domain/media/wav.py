"""WAVE (RIFF): format and samples stay; who, when, where, notes, cues and any tail go."""

from __future__ import annotations

import struct

from services.assets.domain.media.cleaned import Bytes, Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.webp import chunk_of
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_FORMAT, _FACT, _DATA = b"fmt ", b"fact", b"data"
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_CODINGS = frozenset({_PCM, _FLOAT, _A_LAW, _MU_LAW})
_GUID_END = bytes.fromhex("000000001000800000aa00389b71")  # of every coding that has a number
_PLACES_END = 1 << 18  # eighteen places of loudspeakers have a name
_MOST_CHUNKS = 1000
_STREAMED = 0xFFFFFFFF  # written by programs that did not know how long it would get


def clean(data: bytes) -> Cleaned:
    """Keep `fmt `, `fact` and `data`; raises ContentDamaged or ContentUnsupported."""
    cursor = Cursor(data)
    if bytes(cursor.take(4)) != b"RIFF":
        raise ContentDamaged(problem="it does not begin like a WAVE file")
    size = cursor.little(4)
    body = Cursor(data, cursor.at, None if size in {0, _STREAMED} else min(cursor.at + size, len(data)))
    if bytes(body.take(4)) != b"WAVE":
        raise ContentDamaged(problem="it does not begin like a WAVE file")
    found = _chunks(body)
    if _FORMAT not in found or not found.get(_DATA):
        raise ContentDamaged(problem="there is no sound in it")
    form, align = _format(Cursor(found[_FORMAT]))
    samples = found[_DATA][: len(found[_DATA]) // align * align]
    parts: list[Bytes] = [*chunk_of(_FORMAT, form)]
    if _FACT in found:
        parts += chunk_of(_FACT, struct.pack("<I", len(samples) // align))
    parts += chunk_of(_DATA, samples)
    total = 4 + sum(len(part) for part in parts)
    return Cleaned((b"RIFF" + struct.pack("<I", total) + b"WAVE", *parts))


def _chunks(body: Cursor) -> dict[bytes, memoryview]:
    """The first of each chunk that is kept; what follows the samples is not read."""
    found: dict[bytes, memoryview] = {}
    for _ in range(_MOST_CHUNKS):
        if not body.left or _DATA in found:
            break
        kind, size = bytes(body.take(4)), body.little(4)
        if kind == _DATA and size == _STREAMED:
            size = body.left
        content = body.take(size)
        if kind in {_FORMAT, _FACT, _DATA}:
            found.setdefault(kind, content)
        if size % 2 and body.left:
            body.take(1)
    return found


def _format(form: Cursor) -> tuple[bytes, int]:
    """The format, written anew, and bytes a sample of all channels."""
    coding, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form.take(16))
    extension = b""
    if coding == _EXTENSIBLE:
        form.take(2)
        valid, places = form.little(2), form.little(4)
        coding, rest = form.little(2), bytes(form.take(14))
        if rest != _GUID_END or valid > bits or places >= _PLACES_END:
            raise ContentUnsupported(problem="its format is one that browsers do not play")
        extension = struct.pack("<HHIH", 22, valid, places, coding) + rest
    if coding not in _CODINGS:
        raise ContentUnsupported(problem="its format is one that browsers do not play")
    if not 1 <= channels <= 32 or not 1 <= rate <= 768_000 or bits not in {8, 16, 24, 32, 64}:
        raise ContentDamaged(problem="its header makes no sense")
    if align != channels * bits // 8:
        raise ContentDamaged(problem="its header makes no sense")
    named = _EXTENSIBLE if extension else coding
    return struct.pack("<HHIIHH", named, channels, rate, rate * align, align, bits) + extension, align
