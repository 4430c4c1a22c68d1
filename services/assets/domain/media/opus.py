"""Opus: how its header says what it is (RFC 7845, 5.1), as Ogg, WebM and MP4 have it."""

from __future__ import annotations

import struct

from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"OpusHead"
_FASTEST = 768_000


def head(content: bytes) -> bytes:
    """The identification header, written anew, little-endian; raises ContentDamaged or ContentUnsupported."""
    cursor = Cursor(content)
    if bytes(cursor.take(8)) != START or cursor.number(1) not in range(1, 16):
        raise ContentDamaged(problem="it does not say how its sound is coded")
    return START + b"\x01" + _fields(cursor, "<")


def box(cursor: Cursor) -> bytes:
    """The same in MP4 (Opus in ISO-BMFF, 4.3.2): `dOps`, big-endian."""
    if cursor.number(1):
        raise ContentUnsupported(problem="it is coded in a way that is not known yet")
    return b"\0" + _fields(cursor, ">")


def _fields(cursor: Cursor, order: str) -> bytes:
    """Channels, samples to skip, rate of what was recorded, gain, and which channel is where."""
    fixed = order + "BHIhB"
    channels, skipped, rate, gain, family = struct.unpack(fixed, cursor.take(10))
    if family > 1 or not 1 <= channels <= (8 if family else 2) or rate > _FASTEST:
        raise ContentUnsupported(problem="its channels are none that browsers play")
    kept = struct.pack(fixed, channels, skipped, rate, gain, family)
    return kept + (bytes(cursor.take(2 + channels)) if family else b"")
