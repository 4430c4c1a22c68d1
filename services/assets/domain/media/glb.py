"""Binary glTF 2.0: what is drawn stays, its description and its data; pictures inside are cleaned.

Bytes of the binary part that nothing is drawn with become zero. See `gltf` for what of the description stays.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Never

from services.assets.domain.media import gltf, regions
from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.media.gltf import Json
from services.assets.domain.media.regions import Region
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

START = b"glTF"
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_JSON_LARGEST = 16 * 1024 * 1024
_PICTURES_MOST = 128

CleanPicture = Callable[[bytes], tuple[str, bytes]]
"""Cleans a picture of any type, and says of which it is; raises a refusal."""


def clean(data: bytes, picture: CleanPicture) -> Cleaned:
    """Keep scenes, meshes, materials, animations and their data; raises a refusal."""
    document, binary = _chunks(data)
    document = gltf.kept(document)
    _own(document, binary)
    used = regions.drawn(document, binary)
    pictures = _pictures(document)
    _apart(used, list(pictures.values()))
    drawn = bytearray(len(binary))
    for region in used:
        region.copy(binary, drawn)
    for number, region in pictures.items():
        kind, content = picture(bytes(binary[region.start : region.end]))
        _place(document, number, drawn, region, content)
        for image in document["images"]:
            if image["bufferView"] == number:
                image["mimeType"] = kind
    encoded = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    parts = [*_chunk(_JSON, encoded, b" "), *(_chunk(_BIN, drawn, b"\0") if drawn else ())]
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


def _own(document: Json, binary: bytearray) -> None:
    """Cut the binary part to the length it is said to have; refuse data that are elsewhere."""
    buffers = document.get("buffers", [])
    for number, buffer in enumerate(buffers):
        filled = buffer.get("extensions", {}).get("EXT_meshopt_compression", {}).get("fallback")
        if "uri" in buffer or (number and not filled):
            raise ContentUnsupported(problem="its data are not inside the binary part")
    size = buffers[0].get("byteLength", 0) if buffers else 0
    Cursor(binary).take(size)
    for view in document.get("bufferViews", []):
        if view.get("buffer") == 0 and regions.span(view).end > size:
            raise ContentDamaged(problem="it ends too early")
    del binary[size:]


def _pictures(document: Json) -> dict[int, Region]:
    """The views that are pictures: each once, however many images name it; cleaning is dear, naming not."""
    images = document.get("images", [])
    if len(images) > _PICTURES_MOST:
        raise ContentUnsupported(problem=f"it has more than {_PICTURES_MOST} pictures")
    if any("uri" in image or "bufferView" not in image for image in images):
        raise ContentUnsupported(problem="its pictures are not inside the binary part")
    views = {image["bufferView"] for image in images}
    return {number: regions.span(regions.item(document, "bufferViews", number)) for number in sorted(views)}


def _apart(meshes: set[Region], pictures: list[Region]) -> None:
    """Refuse pictures that are used as something else as well: that would keep their metadata."""
    end = picture_end = 0
    for region, is_picture in sorted(
        [(region, False) for region in meshes] + [(region, True) for region in pictures]
    ):
        if region.start < (end if is_picture else picture_end):
            raise ContentUnsupported(problem="its pictures overlap with something else")
        end = max(end, region.end)
        picture_end = region.end if is_picture else picture_end


def _place(document: Json, number: int, drawn: bytearray, region: Region, content: bytes) -> None:
    """Put a picture where it was, or at the end if it has grown."""
    start = region.start
    if len(content) > region.size:
        drawn += bytes(-len(drawn) % 4)
        start = len(drawn)
        drawn += bytes(len(content))
        document["buffers"][0]["byteLength"] = len(drawn)
    drawn[start : start + len(content)] = content
    document["bufferViews"][number] = {"buffer": 0, "byteOffset": start, "byteLength": len(content)}


def _chunk(kind: int, content: bytes | bytearray, padding: bytes) -> tuple[bytes | bytearray, ...]:
    filled = padding * (-len(content) % 4)
    return struct.pack("<II", len(content) + len(filled), kind), content, filled
