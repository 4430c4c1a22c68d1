"""Binary glTF 2.0: the model stays; who made it with what, notes, unknown chunks, and pictures' metadata go.

Bytes of the binary chunk that nothing refers to become zero. Extensions that are not ratified
(KHR) or shared by several vendors (EXT) go as well: avatars keep their author's name and address in one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Never

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"glTF"
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_JSON_LARGEST = 16 * 1024 * 1024
_NOT_KEPT = frozenset({"KHR_xmp", "KHR_xmp_json_ld"})
# Their names are names of files; nothing refers to them by name.
_NAMELESS = ("images", "textures", "buffers", "bufferViews", "accessors", "samplers")
_PICTURES_MOST = 128
_KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n"

Json = dict[str, Any]
CleanPicture = Callable[[bytes], bytes]
"""Cleans a picture of any type; raises a refusal."""


def clean(data: bytes, picture: CleanPicture) -> Cleaned:
    """Keep scenes, meshes, materials, animations and their data; raises a refusal."""
    document, binary = _chunks(data)
    _describe_nothing(document)
    _extensions(document)
    _pictures(document, binary, picture)
    _only_referenced(document, binary)
    encoded = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    parts = [_chunk(_JSON, encoded, b" ")]
    if binary:
        parts.append(_chunk(_BIN, bytes(binary), b"\0"))
    total = 12 + sum(len(part) for part in parts)
    return Cleaned((START + struct.pack("<II", 2, total), *parts))


def _chunks(data: bytes) -> tuple[Json, bytearray]:
    cursor = Cursor(data)
    if bytes(cursor.take(4)) != START or cursor.little(4) != 2:
        raise ContentDamaged(problem="it is not binary glTF 2.0")
    body = Cursor(data, 12, min(cursor.little(4), len(data)))
    if body.end != int.from_bytes(data[8:12], "little"):
        raise ContentDamaged(problem="it ends too early")
    size, kind = body.little(4), body.little(4)
    if kind != _JSON or size > _JSON_LARGEST:
        raise ContentDamaged(problem="it does not begin with its description")
    document = _parsed(bytes(body.take(size)))
    binary = bytearray()
    while body.left and not binary:
        size, kind = body.little(4), body.little(4)
        content = body.take(size)
        if kind == _BIN:
            binary += content
    return document, binary


def _parsed(text: bytes) -> Json:
    def refuse(_constant: str) -> Never:
        raise ValueError

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise ContentDamaged(problem="its description can't be read") from None
    asset = document.get("asset") if isinstance(document, dict) else None
    if not isinstance(asset, dict) or not str(asset.get("version")).startswith("2."):
        raise ContentDamaged(problem="it is not binary glTF 2.0")
    return dict(document)


def _describe_nothing(document: Json) -> None:
    document["asset"] = {"version": "2.0"}
    for name in _NAMELESS:
        for item in _items(document, name):
            item.pop("name", None)
    todo: list[Any] = [document]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            item.pop("extras", None)
            _ratified(item)
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def _ratified(item: Json) -> None:
    extensions = item.get("extensions")
    if isinstance(extensions, dict):
        item["extensions"] = {name: body for name, body in extensions.items() if _kept(name)}


def _kept(name: object) -> bool:
    return isinstance(name, str) and name.startswith(("KHR_", "EXT_")) and name not in _NOT_KEPT


def _extensions(document: Json) -> None:
    required = document.get("extensionsRequired", [])
    used = document.get("extensionsUsed", [])
    if not isinstance(required, list) or not isinstance(used, list):
        raise ContentDamaged(problem="its description makes no sense")
    if not all(_kept(name) for name in required):
        raise ContentUnsupported(problem="it needs an extension of glTF that is not KHR or EXT")
    if used:
        document["extensionsUsed"] = [name for name in used if _kept(name)]


def _items(document: Mapping[str, Any], name: str) -> list[Json]:
    items = document.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ContentDamaged(problem="its description makes no sense")
    return items


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ContentDamaged(problem="its description makes no sense")
    return value


def _pictures(document: Json, binary: bytearray, picture: CleanPicture) -> None:
    """Each is cleaned once, however many images name the same bytes: cleaning is dear, naming is not."""
    images = _items(document, "images")
    if len(images) > _PICTURES_MOST:
        raise ContentUnsupported(problem=f"it has more than {_PICTURES_MOST} pictures")
    cleaned: set[object] = set()
    for image in images:
        view = image.get("bufferView")
        if "uri" in image or not isinstance(view, int) or view not in cleaned:
            _image(document, image, binary, picture)
            cleaned.add(view)


def _image(document: Json, image: Json, binary: bytearray, picture: CleanPicture) -> None:
    if "uri" in image:
        raise ContentUnsupported(problem="its pictures are not inside the binary part")
    views, index = _items(document, "bufferViews"), _whole(image.get("bufferView"))
    if index >= len(views):
        raise ContentDamaged(problem="its description makes no sense")
    view = views[index]
    start, size = _whole(view.get("byteOffset", 0)), _whole(view.get("byteLength"))
    content = bytes(Cursor(binary, min(start, len(binary))).take(size))
    kept = _ktx2(content) if content.startswith(_KTX2) else picture(content)
    if len(kept) > size:
        start = len(binary) + -len(binary) % 4
        binary += bytes(start - len(binary)) + kept
        _items(document, "buffers")[0]["byteLength"] = len(binary)
    else:
        binary[start : start + size] = kept + bytes(size - len(kept))
    view["byteOffset"], view["byteLength"] = start, len(kept)


def _ktx2(content: bytes) -> bytes:
    """A compressed texture without its key-value data."""
    offset, size = struct.unpack_from("<II", content + bytes(80), 56)
    if not size:
        return content
    Cursor(content, min(offset, len(content))).take(size)
    cut = bytearray(content)
    cut[offset : offset + size] = bytes(size)
    cut[56:64] = bytes(8)
    return bytes(cut)


def _only_referenced(document: Json, binary: bytearray) -> None:
    """Zero what no view refers to; check that buffers and views lie inside."""
    for number, buffer in enumerate(_items(document, "buffers")):
        if "uri" in buffer:
            raise ContentUnsupported(problem="its data are not inside the binary part")
        if number == 0:
            size = _whole(buffer.get("byteLength"))
            Cursor(binary).take(size)
            del binary[size:]
    at = 0
    for start, size in sorted(_ranges(document)):
        Cursor(binary, min(start, len(binary))).take(size)
        if start > at:
            binary[at:start] = bytes(start - at)
        at = max(at, start + size)
    binary[at:] = bytes(len(binary) - at)


def _ranges(document: Json) -> Iterator[tuple[int, int]]:
    for view in _items(document, "bufferViews"):
        # Compressed meshes say in an extension where their bytes are; the view itself is then a promise.
        extensions = view.get("extensions") or {}
        for place in (view, *(extensions.values() if isinstance(extensions, dict) else ())):
            if isinstance(place, dict) and place.get("buffer") == 0:
                yield _whole(place.get("byteOffset", 0)), _whole(place.get("byteLength"))


def _chunk(kind: int, content: bytes, padding: bytes) -> bytes:
    padded = content + padding * (-len(content) % 4)
    return struct.pack("<II", len(padded), kind) + padded
