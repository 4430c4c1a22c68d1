"""Ogg (RFC 3533) with Vorbis or Opus: headers and sound stay; the comment header becomes an empty one.

It keeps its length, so that no other page changes; what follows the last page goes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"OggS"
_MOST_PAGES = 300_000
_CONTINUED, _FIRST, _LAST = 1, 2, 4
NO_COMMENTS = {b"\x01vorbis": b"\x03vorbis" + bytes(8) + b"\x01", b"OpusHead": b"OpusTags" + bytes(8)}
# Ogg's checksum is that of zlib with every byte, and the result, read from the other end.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(slots=True)
class _Page:
    start: int
    flags: int
    serial: int
    lacing: bytes
    body: int
    end: int


def clean(data: bytes) -> Cleaned:
    """Keep all pages, with comments emptied; raises ContentDamaged or ContentUnsupported."""
    content = bytearray(data)
    pages = list(at_most(_MOST_PAGES, _pages(content)))
    if not pages or not pages[0].flags & _FIRST:
        raise ContentDamaged(problem="it does not begin like Ogg")
    if len({page.serial for page in pages}) > 1 or any(page.flags & _FIRST for page in pages[1:]):
        raise ContentUnsupported(problem="it has more than one stream in it")
    if len(pages) < 3:
        raise ContentDamaged(problem="there is no sound in it")
    _empty_comments(content, pages)
    return Cleaned((memoryview(content)[: pages[-1].end],))


def _pages(content: bytearray) -> Iterator[_Page]:
    """The pages up to the last of the stream, each with its checksum verified."""
    cursor, flags = Cursor(content), 0
    while cursor.left and not flags & _LAST:
        start = cursor.at
        if bytes(cursor.take(4)) != START or cursor.number(1):
            raise ContentDamaged(problem="there is something between its pages")
        flags = cursor.number(1)
        cursor.take(8)
        serial = cursor.little(4)
        cursor.take(8)
        lacing = bytes(cursor.take(cursor.number(1)))
        page = _Page(start, flags, serial, lacing, cursor.at, cursor.at + sum(lacing))
        cursor.take(sum(lacing))
        if _checksum(content, page) != struct.unpack_from("<I", content, start + 22)[0]:
            raise ContentDamaged(problem="the checksum of one of its pages is wrong")
        yield page


def _checksum(content: bytearray, page: _Page) -> int:
    page_bytes = content[page.start : page.end]
    page_bytes[22:26] = bytes(4)
    register = zlib.crc32(page_bytes.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2)


def _empty_comments(content: bytearray, pages: list[_Page]) -> None:
    """Write an empty comment header over the second packet, wherever its pieces stand."""
    head = bytes(content[pages[0].body : pages[0].end])
    empty = next((empty for kind, empty in NO_COMMENTS.items() if head.startswith(kind)), None)
    if empty is None:
        raise ContentUnsupported(problem="it is neither Vorbis nor Opus")
    pieces = list(_second_packet(pages))
    size = sum(end - start for start, end, _ in pieces)
    first = pieces[0][0]
    if size < len(empty) or content[first : first + 7] != empty[:7]:
        raise ContentDamaged(problem="its second header is missing")
    rest = empty + bytes(size - len(empty))
    for start, end, page in pieces:
        content[start:end], rest = rest[: end - start], rest[end - start :]
        struct.pack_into("<I", content, page.start + 22, _checksum(content, page))


def _second_packet(pages: list[_Page]) -> Iterator[tuple[int, int, _Page]]:
    """Where the pieces of the comment header stand; it begins the second page and may fill more."""
    if pages[0].lacing.count(255) or len(pages[0].lacing) != 1 or pages[1].flags & _CONTINUED:
        raise ContentDamaged(problem="its headers are not where they should be")
    for page in pages[1:]:
        size = 0
        for lace in page.lacing:
            size += lace
            if lace < 255:
                yield page.body, page.body + size, page
                return
        yield page.body, page.body + size, page
    raise ContentDamaged(problem="it ends too early")
