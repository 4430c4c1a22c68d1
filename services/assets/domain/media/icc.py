"""Colour profiles (ICC.1:2022) without their texts.

A profile says how colours are meant and also, in free text and dates, who made it, for which screen and
when; a profile of one's own screen can name its owner. Kept are the tags that colours depend on;
texts become fixed ones, dates and makers zero. So the colours stay and nothing else does.
"""

from __future__ import annotations

import struct

from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged

LARGEST = 4 * 1024 * 1024  # bytes; press profiles with full tables have 2 MiB
_HEADER = 128
_MOST_TAGS = 100
_COLOUR_TAGS = frozenset({
    b"wtpt", b"bkpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"lumi",
    b"gamt", b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"D2B0", b"D2B1", b"B2D0", b"B2D1",
    b"cicp",
})  # fmt: skip
_COLOUR_TYPES = frozenset({
    b"XYZ ", b"curv", b"para", b"sf32", b"mft1", b"mft2", b"mAB ", b"mBA ", b"mpet", b"cicp",
})  # fmt: skip
_NAME, _COPYRIGHT = "Colour", "No copyright"
# As version 2 had them: a description with room for scripts that nobody used, a plain text.
_OLD_TEXTS = (
    struct.pack(">4sII", b"desc", 0, len(_NAME) + 1) + _NAME.encode() + bytes(1 + 4 + 4 + 2 + 1 + 67),
    b"text" + bytes(4) + _COPYRIGHT.encode() + b"\0",
)


def without_texts(profile: bytes) -> bytes | None:
    """The profile as it is meant for colours; None if it is none or cannot be read."""
    if not _HEADER + 4 <= len(profile) <= LARGEST or profile[36:40] != b"acsp":
        return None
    try:
        tags = _colour_tags(Cursor(profile, _HEADER))
    except ContentDamaged:
        return None
    if not tags:
        return None
    modern = profile[8] >= 4
    name, copyright_ = (_text(_NAME), _text(_COPYRIGHT)) if modern else _OLD_TEXTS
    return _assembled(_header(profile), [(b"desc", name), (b"cprt", copyright_), *tags])


def _colour_tags(cursor: Cursor) -> list[tuple[bytes, bytes]]:
    tags: list[tuple[bytes, bytes]] = []
    for _ in range(min(cursor.number(4), _MOST_TAGS)):
        name, offset, size = bytes(cursor.take(4)), cursor.number(4), cursor.number(4)
        body = bytes(Cursor(cursor.data, min(offset, cursor.end)).take(size))
        if name in _COLOUR_TAGS and body[:4] in _COLOUR_TYPES and name not in {tag for tag, _ in tags}:
            tags.append((name, body[:4] + bytes(4) + body[8:]))
    return tags


def _header(profile: bytes) -> bytes:
    """Version, class, colour spaces, intent and illuminant; not date, maker, device, creator, digest."""
    return b"".join((
        bytes(8), profile[8:24], struct.pack(">6H", 2000, 1, 1, 0, 0, 0), b"acsp",
        bytes(24), profile[64:80], bytes(48),
    ))  # fmt: skip


def _assembled(header: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    at = _HEADER + 4 + 12 * len(tags)
    table, bodies, places = [], [], dict[bytes, int]()
    for name, body in tags:
        # The three curves are usually the same and then stand in the file once.
        if body not in places:
            places[body] = at
            padded = body + bytes(-len(body) % 4)
            bodies.append(padded)
            at += len(padded)
        table.append(name + struct.pack(">II", places[body], len(body)))
    return struct.pack(">I", at) + header[4:] + struct.pack(">I", len(tags)) + b"".join((*table, *bodies))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    head = struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(encoded), 28)
    return head + encoded
