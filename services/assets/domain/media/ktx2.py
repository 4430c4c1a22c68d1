"""Textures in KTX 2.0 as glTF has them (KHR_texture_basisu): Basis Universal, without key-value data.

It is written anew from its levels and their shared codebooks. The description of its format, which has
room for any maker's blocks, is made from the few choices there are.
"""

from __future__ import annotations

import struct

from services.assets.domain.media.cleaned import bounded
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"\xabKTX 20\xbb\r\n\x1a\n"
_PLAIN, _BASIS, _ZSTD = 0, 1, 2
_ETC1S, _UASTC = 163, 166
_BLOCK, _SAMPLE = 24, 16
_PLANES = frozenset({8, 16})
_MOST_LEVELS = 16
_LARGEST = 1 << 26


def clean(content: bytes) -> bytes:
    """The same texture; raises ContentDamaged, ContentUnsupported or PictureTooLarge."""
    cursor = Cursor(content)
    cursor.take(len(START))
    form, unit, width, height, depth, layers, faces, count, scheme = _little(cursor, "9I")
    if (form, depth, layers, faces) != (0, 0, 0, 1) or unit > 1 or scheme > _ZSTD or count > _MOST_LEVELS:
        raise ContentUnsupported(problem="one of its textures is not Basis Universal")
    bounded(width, height)
    format_at, format_size, _, _, shared_at, shared_size = _little(cursor, "4I2Q")
    places = [_little(cursor, "3Q") for _ in range(max(1, count))]
    if sum(size for _, size, _ in places) + shared_size > len(content) or any(
        p[2] > _LARGEST for p in places
    ):
        raise ContentDamaged(problem="one of its textures claims to be larger than it can be")
    described = _described(_piece(content, format_at, format_size), scheme)
    shared = _piece(content, shared_at, shared_size)
    head = START + struct.pack("<9I", form, unit, width, height, depth, layers, faces, count, scheme)
    levels = [(_piece(content, at, size), plain) for at, size, plain in places]
    return _written(head, described, shared, levels, apart=16 if scheme == _PLAIN else 1)


def _little(cursor: Cursor, kinds: str) -> tuple[int, ...]:
    return struct.unpack(f"<{kinds}", cursor.take(struct.calcsize(f"<{kinds}")))


def _piece(content: bytes, at: int, size: int) -> bytes:
    return bytes(Cursor(content, min(at, len(content))).take(size))


def _described(block: bytes, scheme: int) -> bytes:
    """The data format (Khronos Data Format 1.3, 5): model, colours, and what its channels are."""
    samples = (len(block) - 4 - _BLOCK) // _SAMPLE
    if samples not in {1, 2} or len(block) < 4 + _BLOCK:
        raise ContentUnsupported(problem="one of its textures is not Basis Universal")
    model, primaries, transfer, flags = block[12:16]
    if model not in {_ETC1S, _UASTC} or (model == _ETC1S) != (scheme == _BASIS):
        raise ContentUnsupported(problem="one of its textures is not Basis Universal")
    size = _BLOCK + _SAMPLE * samples
    head = struct.pack("<IIHH4B", 4 + size, 0, 2, size, model, primaries, transfer, flags & 1)
    planes = bytes(size if size in _PLANES else 0 for size in block[20:22])
    length = 63 if model == _ETC1S else 127
    channels = (block[4 + _BLOCK + 3 + _SAMPLE * number] & 15 for number in range(samples))
    return b"".join((
        head, b"\3\3\0\0", planes, bytes(6),
        *(struct.pack("<HBB4xII", 64 * n, length, one, 0, 0xFFFFFFFF) for n, one in enumerate(channels)),
    ))  # fmt: skip


def _written(
    head: bytes, described: bytes, shared: bytes, levels: list[tuple[bytes, int]], *, apart: int
) -> bytes:
    """The smallest level stands first, as it has to; each begins at a multiple of `apart`."""
    start = len(head) + 32 + 24 * len(levels)
    content = bytearray(described)
    shared_at = 0
    if shared:
        content += bytes(-(start + len(content)) % 8)
        shared_at = start + len(content)
        content += shared
    index = []
    for level, plain in reversed(levels):
        content += bytes(-(start + len(content)) % apart)
        index.append(struct.pack("<3Q", start + len(content), len(level), plain))
        content += level
    places = struct.pack("<4I2Q", start, len(described), 0, 0, shared_at, len(shared))
    return b"".join((head, places, *reversed(index), content))
