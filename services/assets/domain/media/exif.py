"""The one thing a picture's EXIF is read for: which way is up."""

from __future__ import annotations

import struct

UPRIGHT = 1
_ORIENTATION, _SHORT = 0x0112, 3


def orientation(tiff: bytes | memoryview) -> int:
    """The orientation (1 to 8, EXIF 2.32 table 6) that a TIFF header with its first directory states.

    1, upright, if it states none or cannot be read.
    """
    data = bytes(tiff[:65536])
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return UPRIGHT
    try:
        magic, directory = struct.unpack_from(order + "HI", data, 2)
        if magic != 42:
            return UPRIGHT
        (entries,) = struct.unpack_from(order + "H", data, directory)
        for index in range(entries):
            tag, kind, _count, value = struct.unpack_from(order + "HHIH", data, directory + 2 + 12 * index)
            if tag == _ORIENTATION and kind == _SHORT:
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        return UPRIGHT
    return UPRIGHT
