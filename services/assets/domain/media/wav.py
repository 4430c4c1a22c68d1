"""WAVE (RIFF): format and samples stay; who, when, where, notes, cues and any tail go."""

from __future__ import annotations

import struct

from services.assets.domain.media.cleaned import Bytes, Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.webp import chunk_of
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_FORMAT, _FACT, _DATA = b"fmt ", b"fact", b"data"
_FORMAT_SIZES = {16, 18, 40}
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
    _check(found[_FORMAT])
    parts: list[Bytes] = []
    for kind in (_FORMAT, _FACT, _DATA):
        if kind in found:
            parts += chunk_of(kind, found[kind])
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
        if kind == _FACT:
            content = content[:4]
        if kind in {_FORMAT, _FACT, _DATA}:
            found.setdefault(kind, content)
        if size % 2 and body.left:
            body.take(1)
    return found


def _check(form: memoryview) -> None:
    if len(form) not in _FORMAT_SIZES:
        raise ContentUnsupported(problem="its format is one that browsers do not play")
    _, channels, rate, _, align, _ = struct.unpack_from("<HHIIHH", form)
    if not 1 <= channels <= 32 or not 1 <= rate <= 768_000 or not align:
        raise ContentDamaged(problem="its header makes no sense")
