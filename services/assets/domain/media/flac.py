"""FLAC (RFC 9639): what the stream is, seek table and frames stay; comments, pictures, tags go."""

from __future__ import annotations

import re

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged

START = b"fLaC"
_STREAM_INFO, _SEEK_TABLE = 0, 3
_SYNC = re.compile(rb"\xff[\xf8\xf9]", re.DOTALL)
_LAST_FRAME = 1 << 18  # bytes in which the last frame has to begin
_ID3V1 = b"TAG", 128


def clean(data: bytes) -> Cleaned:
    """Keep what the sound is made of; raises ContentDamaged."""
    start = _after_tag(data)
    cursor = Cursor(data, start, _before_tag(data))
    if bytes(cursor.take(4)) != START:
        raise ContentDamaged(problem="it does not begin like FLAC")
    blocks = _blocks(cursor)
    frames = cursor.take(cursor.left)
    if not _SYNC.match(frames) or not _ends_with_frame(bytes(frames[-_LAST_FRAME:])):
        raise ContentDamaged(problem="its last frame is damaged, or something follows it")
    return Cleaned((START, *blocks, frames))


def _blocks(cursor: Cursor) -> list[bytes]:
    """The metadata blocks that stay, the last one marked as such."""
    kept: list[tuple[int, bytes]] = []
    more = True
    while more:
        head, size = cursor.number(1), cursor.number(3)
        more, kind, body = not head & 0x80, head & 0x7F, bytes(cursor.take(size))
        lawful = (kind == _STREAM_INFO and size == 34) if not kept else kind == _SEEK_TABLE and not size % 18
        if lawful:
            kept.append((kind, body))
    if not kept:
        raise ContentDamaged(problem="it does not say what it is")
    last = len(kept) - 1
    return [
        bytes((kind | (0x80 if number == last else 0),)) + len(body).to_bytes(3, "big") + body
        for number, (kind, body) in enumerate(kept)
    ]


def _after_tag(data: bytes) -> int:
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    size = 0
    for digit in data[6:10]:
        size = size << 7 | digit & 0x7F
    return min(10 + size, len(data))


def _before_tag(data: bytes) -> int:
    mark, size = _ID3V1
    return len(data) - size if data[-size:].startswith(mark) else len(data)


def _ends_with_frame(tail: bytes) -> bool:
    """Whether a frame (RFC 9639 section 9) begins in `tail` and ends, checksum and all, where it does."""
    starts = [found.start() for found in _SYNC.finditer(tail) if _is_header(tail, found.start())]
    return any(not _crc(tail[start:], 16) for start in reversed(starts[-8:]))


def _is_header(tail: bytes, at: int) -> bool:
    """Whether a frame header with the right checksum is at `at`."""
    head = tail[at : at + 16]
    if len(head) < 6:
        return False
    first = head[4]
    # The frame's number is coded as UTF-8 is: leading ones say how many bytes.
    ones = 8 - (first ^ 0xFF).bit_length()
    size = 4 + max(ones, 1) + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    return ones != 1 and ones < 8 and len(head) > size and not _crc(head[: size + 1], 8)


def _table(bits: int, polynomial: int) -> list[int]:
    top, mask, table = 1 << (bits - 1), (1 << bits) - 1, []
    for value in range(256):
        register = value << (bits - 8)
        for _ in range(8):
            register = (register << 1 ^ (polynomial if register & top else 0)) & mask
        table.append(register)
    return table


_TABLES = {8: _table(8, 0x07), 16: _table(16, 0x8005)}


def _crc(data: bytes, bits: int) -> int:
    table, register, mask, shift = _TABLES[bits], 0, (1 << bits) - 1, bits - 8
    for byte in data:
        register = (register << 8 & mask) ^ table[(register >> shift) ^ byte]
    return register
