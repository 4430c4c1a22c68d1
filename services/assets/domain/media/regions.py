"""Which bytes of a model's binary part something is drawn with (glTF 2.0, 3.6).

Of a view only those that an accessor reads, or all of it, if it is compressed; so nothing stays that lies
between vertices, behind them, or in data of an application's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from services.assets.domain.media import gltf
from services.assets.domain.media.gltf import Json, nonsense
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_VECTORS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_MATRICES = {"MAT2": 2, "MAT3": 3, "MAT4": 4}
_MESHOPT, _DRACO = "EXT_meshopt_compression", "KHR_draco_mesh_compression"
_DRACO_START, _DRACO_NOTES = b"DRACO", 0x80
_MOST_TIMES = 16  # that bytes may be used again, on average


class Region(NamedTuple):
    """`times` pieces of `size` bytes, the first at `start`, each `stride` after the one before."""

    start: int
    size: int
    stride: int
    times: int

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.start + self.stride * (self.times - 1) + self.size

    def copy(self, source: bytes | bytearray, target: bytearray) -> None:
        """Copy its bytes to the same place."""
        if self.stride == self.size:
            target[self.start : self.end] = source[self.start : self.end]
            return
        for byte in range(self.size):
            every = slice(self.start + byte, self.end, self.stride)
            target[every] = source[every]


def drawn(description: Json, binary: bytes | bytearray) -> set[Region]:
    """The regions of the binary part that meshes, animations and skins need; raises a refusal."""
    regions: set[Region] = set()
    for number in gltf.accessors(description):
        regions.update(_accessor(description, item(description, "accessors", number)))
    for mesh in description.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            compressed = primitive.get("extensions", {}).get(_DRACO)
            if compressed is not None:
                regions.add(_draco(description, compressed, binary))
    if any(region.end > len(binary) for region in regions):
        raise ContentDamaged(problem="it ends too early")
    if sum(region.size * region.times for region in regions) > _MOST_TIMES * len(binary):
        raise ContentDamaged(problem="its data overlap too often")
    return regions


def item(description: Json, name: str, number: object) -> Json:
    """One of the things that are referred to by number."""
    items = description.get(name, [])
    if not isinstance(number, int) or number >= len(items):
        nonsense()
    found: Json = items[number]
    return found


def span(view: Json) -> Region:
    """All of a view in the binary part."""
    if view.get("buffer") != 0:
        raise ContentUnsupported(problem="its data are not inside the binary part")
    size = view.get("byteLength", 0)
    return Region(view.get("byteOffset", 0), size, size, 1)


def _accessor(description: Json, accessor: Json) -> Iterator[Region]:
    size, count = _size(accessor), accessor.get("count", 0)
    if count and "bufferView" in accessor:
        yield _part(description, accessor, size, count)
    sparse = accessor.get("sparse", {})
    changed = sparse.get("count", 0)
    if changed:
        indices, values = sparse.get("indices", {}), sparse.get("values", {})
        yield _part(description, indices, _BYTES[_needed(indices, "componentType")], changed)
        yield _part(description, values, size, changed)


def _part(description: Json, place: Json, size: int, count: int) -> Region:
    """Where elements stand; of compressed ones, where all of them are."""
    view = item(description, "bufferViews", place.get("bufferView"))
    compressed = view.get("extensions", {}).get(_MESHOPT)
    if compressed is not None:
        return span(compressed)
    whole, stride, offset = span(view), view.get("byteStride", size), place.get("byteOffset", 0)
    region = Region(whole.start + offset, size, stride, count)
    if stride < size or region.end > whole.end:
        nonsense()
    return region


def _size(accessor: Json) -> int:
    """Bytes of an element; columns of a matrix begin at multiples of four."""
    kind, component = _needed(accessor, "type"), _BYTES[_needed(accessor, "componentType")]
    if kind in _VECTORS:
        return _VECTORS[kind] * component
    rows = _MATRICES[kind]
    return rows * (rows * component + -rows * component % 4)


def _needed(thing: Json, name: str) -> Any:
    if name not in thing:
        nonsense()
    return thing[name]


def _draco(description: Json, compressed: Json, binary: bytes | bytearray) -> Region:
    """A compressed mesh, which may have notes of its own."""
    region = span(item(description, "bufferViews", compressed.get("bufferView")))
    head = binary[region.start : region.start + 11]
    if region.size < 11 or not head.startswith(_DRACO_START) or head[10] & _DRACO_NOTES:
        raise ContentUnsupported(problem="its compressed meshes are no Draco, or Draco with notes in it")
    return region
