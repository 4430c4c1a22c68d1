"""Files as trees of their parts: to put something in anywhere, and to see where something is.

They are read and written here without the code that cleans.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.unit.assets import makers


@dataclass
class Part:
    """A box, chunk, element, block, packet: bytes of its own, then other parts, if it may have any."""

    path: str
    kind: bytes
    content: bytes
    parts: list[Part] | None = None

    def walk(self) -> Iterator[Part]:
        yield self
        for part in self.parts or ():
            yield from part.walk()


@dataclass(frozen=True)
class Form:
    """How files of a type are read into parts and written from them, and what may be put between these."""

    read: Callable[[bytes], list[Part]]
    write: Callable[[list[Part]], bytes]
    intruders: Callable[[bytes], list[bytes]] = field(default=lambda mark: [mark])


def place(form: Form, content: bytes, mark: bytes) -> str:
    """In which part the mark is; "between" if it is in none alone."""
    for top in form.read(content):
        for part in top.walk():
            if mark in part.content:
                return part.path
    return "between"


_BOXES: dict[bytes, int] = {
    **dict.fromkeys((b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl"), 0),
    **dict.fromkeys((b"stsd", b"dref"), 8),
    **dict.fromkeys((b"avc1", b"hvc1", b"hev1", b"av01", b"vp09"), 78),
    **dict.fromkeys((b"mp4a", b"ac-3", b"Opus", b"fLaC"), 28),
}  # fmt: skip


def _boxes(content: bytes, path: str = "") -> list[Part]:
    found, at = [], 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + size]
        here = f"{path}/{kind.decode('latin-1')}".lstrip("/")
        lead = _BOXES.get(kind)
        if lead is None:
            found.append(Part(here, kind, body))
        else:
            found.append(Part(here, kind, body[:lead], _boxes(body[lead:], here)))
        at += size
    return found


def _write_boxes(parts: list[Part]) -> bytes:
    return b"".join(
        part.content
        if part.kind == b"raw"
        else makers.box(part.kind, part.content, _write_boxes(part.parts or []))
        for part in parts
    )


def _foreign_boxes(mark: bytes) -> list[bytes]:
    kinds = (b"free", b"uuid", b"udta", b"meta", b"zzzz")
    return [makers.box(kind, mark) for kind in kinds]


_NAMES = {
    0x1A45DFA3: "EBML", 0x18538067: "Segment", 0x114D9B74: "SeekHead", 0x4DBB: "Seek", 0x1549A966: "Info",
    0x1654AE6B: "Tracks", 0xAE: "TrackEntry", 0xE0: "Video", 0xE1: "Audio", 0x55B0: "Colour",
    0x1F43B675: "Cluster", 0xA0: "BlockGroup", 0x75A1: "BlockAdditions", 0xA6: "BlockMore",
    0x1C53BB6B: "Cues", 0xBB: "CuePoint", 0xB7: "CueTrackPositions",
}  # fmt: skip
_LEAVES = {0xA3: "SimpleBlock", 0xA1: "Block", 0x63A2: "CodecPrivate", 0xA5: "BlockAdditional"}


def _elements(content: bytes, path: str = "") -> list[Part]:
    found, at = [], 0
    while at < len(content):
        width = 9 - content[at].bit_length()
        identifier, at = int.from_bytes(content[at : at + width]), at + width
        width = 9 - content[at].bit_length()
        size = int.from_bytes(content[at : at + width]) & (1 << 7 * width) - 1
        at += width
        size = len(content) - at if size == (1 << 7 * width) - 1 else size
        body, at = content[at : at + size], at + size
        name = _NAMES.get(identifier) or _LEAVES.get(identifier) or f"{identifier:X}"
        here = f"{path}/{name}".lstrip("/")
        inner = _elements(body, here) if identifier in _NAMES else None
        found.append(Part(here, identifier.to_bytes(4), b"" if inner is not None else body, inner))
    return found


def _write_elements(parts: list[Part]) -> bytes:
    return b"".join(
        part.content
        if part.kind == b"raw"
        else makers.element(int.from_bytes(part.kind), part.content, _write_elements(part.parts or []))
        for part in parts
    )


def _foreign_elements(mark: bytes) -> list[bytes]:
    block, e = b"\x81\0\0\x00" + mark, makers.element
    addition = e(0x75A1, e(0xA6, e(0xEE, b"\1"), e(0xA5, mark)))
    return [
        e(0xEC, mark), e(0xBF, mark), e(0x1254C367, e(0x7373, mark)), e(0x536E, mark), e(0x4FFE, mark),
        e(0xAF, block), e(0xA4, mark), addition, e(0xA0, e(0xA1, b"\x82\0\0\0sound"), addition),
    ]  # fmt: skip


def _chunks(content: bytes) -> list[Part]:
    found, at = [Part("RIFF", b"head", content[8:12])], 12
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        found.append(Part(kind.decode("latin-1"), kind, content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def _write_chunks(parts: list[Part]) -> bytes:
    body = b"".join(
        part.content
        if part.kind in {b"head", b"raw"}
        else part.kind + struct.pack("<I", len(part.content)) + part.content + bytes(len(part.content) % 2)
        for part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _foreign_chunks(mark: bytes) -> list[bytes]:
    return [
        kind + struct.pack("<I", len(mark)) + mark for kind in (b"LIST", b"bext", b"JUNK", b"fact", b"id3 ")
    ]


def _blocks(content: bytes) -> list[Part]:
    found, at, last = [], 4, False
    while not last:
        head, size = content[at], int.from_bytes(content[at + 1 : at + 4])
        last = bool(head & 0x80)
        found.append(Part(f"block {head & 0x7F}", bytes((head & 0x7F,)), content[at + 4 : at + 4 + size]))
        at += 4 + size
    return [*found, Part("frames", b"frames", content[at:])]


def _write_blocks(parts: list[Part]) -> bytes:
    blocks = [part for part in parts if len(part.kind) == 1]
    written = b"fLaC"
    for part in parts:
        if len(part.kind) == 1:
            head = part.kind[0] | (0x80 if part is blocks[-1] else 0)
            written += bytes((head,)) + len(part.content).to_bytes(3) + part.content
        else:
            written += part.content
    return written


def _packets(content: bytes) -> list[Part]:
    found, at, open_packet = [], 0, b""
    while content[at : at + 4] == b"OggS":
        position, lacing = content[at + 6 : at + 14], content[at + 27 : at + 27 + content[at + 26]]
        at += 27 + len(lacing)
        for lace in lacing:
            open_packet += content[at : at + lace]
            at += lace
            if lace < 255:
                names = {0: "identification", 1: "comments"}
                setup = "setup" if len(found) == 2 and open_packet.startswith(b"\x05vorbis") else "sound"
                found.append(Part(names.get(len(found), setup), position, open_packet))
                open_packet = b""
    return [*found, Part("tail", b"raw", content[at:])]


def _write_packets(parts: list[Part]) -> bytes:
    """Each packet on pages of its own."""
    written, number = b"", 0
    packets = [part for part in parts if part.kind != b"raw"]
    for part in parts:
        if part.kind == b"raw":
            written += part.content
            continue
        rest, goes_on = part.content, 0
        while rest is not None:
            piece, more = rest[: 255 * 200], len(rest) >= 255 * 200
            rest = rest[255 * 200 :] if more else None
            flags = goes_on | (2 if number == 0 else 0) | (4 if part is packets[-1] and not more else 0)
            position = -1 if more else int.from_bytes(part.kind, "little", signed=True)
            written += makers.ogg_page(number, flags, [piece], open_end=more, position=position)
            number, goes_on = number + 1, 1
    return written


def _frame_size(content: bytes, at: int) -> int:
    """Of a frame as our recordings have them: MPEG 1, layer III, 48 kHz."""
    if content[at : at + 1] != b"\xff" or content[at + 1 : at + 2] not in {b"\xfa", b"\xfb"}:
        return 0
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
    return 3 * rates[content[at + 2] >> 4] if content[at + 2] & 0x0E == 4 else 0


def _frames(content: bytes) -> list[Part]:
    """Frames, and what stands between them."""
    found, at, other = [], 0, b""
    while at < len(content):
        size = _frame_size(content, at)
        follows = not other and bool(found)
        if size and at + size <= len(content) and (follows or _frame_size(content, at + size)):
            found += [Part("tag", b"raw", other)] if other else []
            frame, other = content[at : at + size], b""
            told = any(name in frame for name in (b"Xing", b"Info"))
            found.append(Part("first frame" if told else "frame", b"frame", frame))
            at += size
        else:
            other, at = other + content[at : at + 1], at + 1
    return found + ([Part("tag", b"raw", other)] if other else [])


def _joined(parts: list[Part]) -> bytes:
    return b"".join(part.content for part in parts)


def _foreign_pages(mark: bytes) -> list[bytes]:
    return [mark, *(makers.ogg_page(9, flags, [mark], serial=99) for flags in (0, 2))]


FORMS = {
    "video/mp4": Form(_boxes, _write_boxes, _foreign_boxes),
    "video/webm": Form(_elements, _write_elements, _foreign_elements),
    "audio/wav": Form(_chunks, _write_chunks, _foreign_chunks),
    "audio/flac": Form(_blocks, _write_blocks, lambda mark: [mark, b"fLaC" + mark]),
    "audio/ogg": Form(_packets, _write_packets, _foreign_pages),
    "audio/mpeg": Form(_frames, _joined, lambda mark: [mark, b"TAG" + mark.ljust(125), b"APETAGEX" + mark]),
}


@dataclass(frozen=True)
class Splices:
    """A file, and everything that can be put into it.

    Of parts that are alike, as blocks of pictures are, `alike` of the first and the last are taken;
    `over` is how often, about, each is written over.
    """

    form: Form
    content: bytes
    alike: int = 2
    over: int = 8

    def all(self, mark: bytes) -> Iterator[tuple[str, bytes]]:
        """Where the mark is now, and the file with it: inside each part, and as a part between any two."""
        root = Part("", b"", b"", self.form.read(self.content))
        for part in self._some([part for part in root.walk() if part is not root]):
            for where, changed in self._variants(part.content, mark):
                yield f"{where} {part.path}", self._with(root, part, changed)
        for part in self._some([part for part in root.walk() if part.parts is not None]):
            yield from self._between(root, part, mark)

    def _some(self, parts: list[Part]) -> list[Part]:
        seen: dict[str, list[Part]] = {}
        for part in parts:
            seen.setdefault(part.path, []).append(part)
        firsts = (alike[: self.alike] + alike[self.alike :][-1:] for alike in seen.values())
        return [part for some in firsts for part in some]

    def _variants(self, content: bytes, mark: bytes) -> Iterator[tuple[str, bytes]]:
        for at in sorted({0, len(content) // 2, len(content)}):
            yield f"at {at} in", content[:at] + mark + content[at:]
        room = len(content) - len(mark)
        for at in range(0, max(0, room) + 1, max(4, room // self.over)):
            yield f"over {at} of", content[:at] + mark + content[at + len(mark) :]

    def _with(self, root: Part, part: Part, changed: bytes) -> bytes:
        kept, part.content = part.content, changed
        try:
            return self.form.write(root.parts or [])
        finally:
            part.content = kept

    def _between(self, root: Part, parent: Part, mark: bytes) -> Iterator[tuple[str, bytes]]:
        parts = parent.parts or []
        for before in [*self._some(parts), None]:
            index = (
                len(parts) if before is None else next(n for n, part in enumerate(parts) if part is before)
            )
            guests = [Part("a foreign part", b"raw", content) for content in self.form.intruders(mark)]
            if before is not None:
                # A second one of its kind, which says something else.
                twins = self._variants(before.content, mark)
                guests += [Part(f"a second {before.path}", before.kind, c, before.parts) for _, c in twins]
            for guest in guests:
                parts.insert(index, guest)
                yield f"{guest.path} as part {index} of {parent.path}", self.form.write(root.parts or [])
                parts.pop(index)
