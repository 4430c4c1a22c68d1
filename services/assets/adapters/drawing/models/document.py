"""Binary glTF 2.0, read: its description, and numbers and pictures out of its binary part."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.assets.adapters.drawing.canvas import NothingToDraw

Json = dict[str, Any]
Array = NDArray[Any]

NUMBERS_MOST = 24_000_000
"""Of one list of numbers: eight million points in space."""
_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_PARTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_HEADER = 20  # bytes before the description


class Document:
    """What a file says of itself. What it says wrongly ends in an error of Python's, of any kind."""

    def __init__(self, content: bytes) -> None:
        (size,) = struct.unpack_from("<I", content, 12)
        self.json: Json = json.loads(content[_HEADER : _HEADER + size])
        start = _HEADER + size + 8
        self.binary = memoryview(content)[start:]

    def items(self, name: str) -> list[Json]:
        """All things of a kind, such as `nodes`."""
        found: list[Json] = self.json.get(name, [])
        return found

    def view(self, index: int) -> memoryview:
        """A part of the binary."""
        view = self.items("bufferViews")[_index(index)]
        start = int(view.get("byteOffset", 0))
        return self.binary[start : start + int(view["byteLength"])]

    def numbers(self, index: int) -> Array:
        """A list of numbers or vectors (count x parts): floats if they are floats or shares, else whole."""
        accessor = self.items("accessors")[_index(index)]
        kind, parts = _TYPES[accessor["componentType"]], _PARTS[accessor["type"]]
        count = int(accessor["count"])
        if not 0 < count * parts <= NUMBERS_MOST:
            raise NothingToDraw
        found = np.zeros((count, parts), kind)
        if "bufferView" in accessor:
            found = self._read(accessor, kind, count, parts)
        if "sparse" in accessor:
            found = self._replaced(found, accessor["sparse"], kind, parts)
        if accessor.get("normalized") and found.dtype.kind in "iu":
            return np.maximum(found.astype(np.float32) / np.iinfo(found.dtype).max, -1)
        return found

    def _read(self, where: Json, kind: Any, count: int, parts: int) -> Array:
        content = self.view(where["bufferView"])
        size = np.dtype(kind).itemsize
        stride = int(self.items("bufferViews")[where["bufferView"]].get("byteStride", size * parts))
        offset = int(where.get("byteOffset", 0))
        if min(offset, stride) < 0:
            raise NothingToDraw
        # numpy refuses what would lie outside of the content.
        return np.ndarray((count, parts), kind, content, offset, (stride, size))

    def _replaced(self, found: Array, sparse: Json, kind: Any, parts: int) -> Array:
        count, where = int(sparse["count"]), sparse["indices"]
        places = self._read(where, _TYPES[where["componentType"]], count, 1)[:, 0]
        changed = found.copy()
        changed[places] = self._read(sparse["values"], kind, count, parts)
        return changed


def _index(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise NothingToDraw
    return value
