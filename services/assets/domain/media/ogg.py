"""Ogg (RFC 3533) with Vorbis or Opus: the sound stays as it is, headers are written anew.

Comments are empty then. Serial numbers, which are chance, and numbers of pages become fixed ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.assets.domain.media import opus, vorbis
from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor, at_most
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"OggS"
_MOST_PAGES = 300_000
_MOST_PACKETS = 4_000_000
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NONE = (1 << 64) - 1  # the position of a page on which no packet ends
_LATEST = 1 << 48
_SERIAL = 1
_TAGS, _NO_TAGS = b"OpusTags", b"OpusTags" + bytes(8)
# Ogg's checksum is that of zlib with every byte, and the result, read from the other end.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    position: int
    serial: int
    lacing: bytes
    body: bytes

    @property
    def open(self) -> bool:
        """Whether its last packet goes on on the next."""
        return self.lacing.endswith(b"\xff")

    def packets(self) -> Iterator[bytes]:
        """The packets that begin or go on here, as far as they stand here."""
        start = end = 0
        for lace in self.lacing:
            end += lace
            if lace < 255:
                yield self.body[start:end]
                start = end
        if self.open:
            yield self.body[start:]

    def written(self, number: int) -> bytes:
        """The page as the one of that number."""
        head = struct.pack("<4sBBQII", START, 0, self.flags, self.position, _SERIAL, number)
        rest = bytes((len(self.lacing),)) + self.lacing + self.body
        return head + _checksum(head + bytes(4) + rest) + rest


def clean(data: bytes) -> Cleaned:
    """Keep what is heard; raises ContentDamaged or ContentUnsupported."""
    pages = list(at_most(_MOST_PAGES, _pages(data)))
    if not pages or not pages[0].flags & _FIRST:
        raise ContentDamaged(problem="it does not begin like Ogg")
    if len({page.serial for page in pages}) > 1 or any(page.flags & _FIRST for page in pages[1:]):
        raise ContentUnsupported(problem="it has more than one stream in it")
    of_vorbis = pages[0].body.startswith(vorbis.IDENTIFICATION)
    packets, sound = _split(pages, 3 if of_vorbis else 2)
    if not sound:
        raise ContentDamaged(problem="there is no sound in it")
    _check(sound, of_vorbis=of_vorbis)
    headers = vorbis.headers(packets[0], packets[1], packets[2]) if of_vorbis else _opus(*packets)
    kept = [_Page(_FIRST, 0, _SERIAL, bytes((len(headers[0]),)), headers[0]), *_paged(headers[1:]), *sound]
    return Cleaned([page.written(number) for number, page in enumerate(kept)])


def _pages(data: bytes) -> Iterator[_Page]:
    """The pages up to the last of the stream, each with its checksum verified."""
    cursor, flags = Cursor(data), 0
    while cursor.left and not flags & _LAST:
        start = cursor.at
        magic, version, flags, position, serial, _, checksum, size = struct.unpack(
            "<4sBBQII4sB", cursor.take(27)
        )
        if magic != START or version or flags > 7:
            raise ContentDamaged(problem="there is something between its pages")
        lacing = bytes(cursor.take(size))
        page = _Page(flags, position, serial, lacing, bytes(cursor.take(sum(lacing))))
        if _checksum(data[start : start + 22] + bytes(4) + data[start + 26 : cursor.at]) != checksum:
            raise ContentDamaged(problem="the checksum of one of its pages is wrong")
        yield page
    if data.startswith(START, cursor.at):
        raise ContentUnsupported(problem="it has more than one stream in it")


def _checksum(page: bytes) -> bytes:
    register = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2).to_bytes(4, "little")


def _split(pages: Sequence[_Page], count: int) -> tuple[list[bytes], Sequence[_Page]]:
    """The first packets, which have pages of their own, and the pages after them."""
    packets: list[bytes] = []
    for number, page in enumerate(pages):
        pieces = list(page.packets())
        if page.flags & _CONTINUED and number and pages[number - 1].open:
            packets[-1] += pieces.pop(0)
        packets += pieces
        if len(packets) == count and not page.open:
            return packets, pages[number + 1 :]
        if len(packets) > count or (number == 0 and (len(packets) != 1 or page.open)):
            break
    raise ContentDamaged(problem="its headers are not where they should be")


def _opus(identification: bytes, comments: bytes) -> tuple[bytes, ...]:
    if not identification.startswith(opus.START) or not comments.startswith(_TAGS):
        raise ContentUnsupported(problem="it is neither Vorbis nor Opus")
    return opus.head(identification), _NO_TAGS


def _check(pages: Sequence[_Page], *, of_vorbis: bool) -> None:
    """What follows the headers has to be sound, in the order of time."""
    latest, goes_on, left = 0, False, _MOST_PACKETS
    for page in pages:
        left -= len(page.lacing)
        if goes_on != bool(page.flags & _CONTINUED) or left < 0:
            raise ContentDamaged(problem="its packets do not fit together, or are too many")
        if page.position != _NONE and not latest <= page.position < _LATEST:
            raise ContentDamaged(problem="its pages are not in the order of time")
        latest = latest if page.position == _NONE else page.position
        # A packet of Vorbis whose first bit is set is a header; players pass over it.
        if of_vorbis and any(packet[0] & 1 for packet in list(page.packets())[goes_on:] if packet):
            raise ContentDamaged(problem="there is something between its sounds")
        goes_on = page.open


def _paged(packets: Sequence[bytes]) -> Iterator[_Page]:
    """Pages for headers; none but the last may have room left."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    body, goes_on = b"".join(packets), 0
    for start in range(0, len(lacing), 255):
        laces = lacing[start : start + 255]
        here, body = body[: sum(laces)], body[sum(laces) :]
        ends = laces.count(b"\xff") < len(laces)
        yield _Page(goes_on, 0 if ends else _NONE, _SERIAL, laces, here)
        goes_on = _CONTINUED if laces.endswith(b"\xff") else 0
