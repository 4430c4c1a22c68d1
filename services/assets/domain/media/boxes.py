"""Boxes of MP4 (ISO 14496-12, 4.2): read where they stand, written anew."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged

_MOST = 10_000
_HEAD = 8


def boxes(cursor: Cursor) -> Iterator[tuple[bytes, Cursor]]:
    """Kind and body of each box up to the end; fewer bytes than a box has are none."""
    return at_most(_MOST, _boxes(cursor))


def _boxes(cursor: Cursor) -> Iterator[tuple[bytes, Cursor]]:
    while cursor.left >= _HEAD:
        start, size, kind = cursor.at, cursor.number(4), bytes(cursor.take(4))
        if size == 1:
            size = cursor.number(8)
        elif size == 0:
            size = cursor.end - start
        yield kind, cursor.sub(start + size - cursor.at)


def children(cursor: Cursor, *kinds: bytes) -> dict[bytes, Cursor]:
    """The boxes of these kinds, by kind; others are passed over. Two of one kind contradict each other."""
    found: dict[bytes, Cursor] = {}
    for kind, body in boxes(cursor):
        if kind in found:
            raise ContentDamaged(problem="it says one thing twice")
        if kind in kinds:
            found[kind] = body
    return found


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box."""
    return struct.pack(">I", _HEAD + sum(len(part) for part in parts)) + kind + b"".join(parts)


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box that begins with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)
