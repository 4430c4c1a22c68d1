"""Small true files with a marker wherever their format has a place for what is no picture, sound or shape."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, PngImagePlugin

from cli.canary.markers import Markers

SIZE = (96, 64)
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {} /></x:xmpmeta>'
ARTIST, COPYRIGHT, GPS, GPS_DATE = 0x013B, 0x8298, 0x8825, 29
MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # silence: 128 kbit/s, 44.1 kHz


@dataclass(frozen=True, slots=True)
class File:
    """A file as somebody has it on their disk."""

    name: str
    content_type: str
    content: bytes


def files(markers: Markers) -> list[File]:
    """One of each sort."""
    makers: tuple[tuple[str, str, Callable[[Callable[[str], str]], bytes]], ...] = (
        ("jpg", "image/jpeg", _jpeg),
        ("png", "image/png", _png),
        ("glb", "model/gltf-binary", _glb),
        ("mp3", "audio/mpeg", _mp3),
        ("txt", "text/plain", _txt),
    )
    return [
        File(
            f"{markers.word(f'file name, {end}')}.{end}",
            kind,
            make(lambda place, end=end: markers.word(f"{place} in {end}")),  # type: ignore[misc]  # a default binds the loop's variable
        )
        for end, kind, make in makers
    ]


def _picture() -> Image.Image:
    return Image.linear_gradient("L").resize(SIZE).convert("RGB")


def _jpeg(mark: Callable[[str], str]) -> bytes:
    tags = Image.Exif()
    tags[ARTIST], tags[COPYRIGHT] = mark("EXIF artist"), mark("EXIF copyright")
    tags.get_ifd(GPS)[GPS_DATE] = mark("EXIF GPS")
    out = io.BytesIO()
    _picture().save(
        out, "JPEG", exif=tags.tobytes(), comment=mark("comment"), xmp=XMP.format(mark("XMP")).encode()
    )
    return out.getvalue() + mark("tail").encode()


def _png(mark: Callable[[str], str]) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", mark("tEXt"))
    texts.add_itxt("Title", mark("iTXt"))
    out = io.BytesIO()
    _picture().save(out, "PNG", pnginfo=texts)
    private = b"prVt" + mark("private chunk").encode()
    chunk = struct.pack(">I", len(private) - 4) + private + struct.pack(">I", zlib.crc32(private))
    head, tail = out.getvalue()[:-12], out.getvalue()[-12:]
    return head + chunk + tail


def _glb(mark: Callable[[str], str]) -> bytes:
    mesh, hidden = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0), mark("unused bytes").encode()
    binary = mesh + hidden + bytes(-len(hidden) % 4)
    bounds = {"min": [0, 0, 0], "max": [1, 1, 0]}
    document = {
        "asset": {"version": "2.0", "copyright": mark("copyright"), "generator": mark("generator")},
        "scenes": [{"nodes": [0], "name": mark("scene's name")}],
        "nodes": [{"mesh": 0, "name": mark("node's name"), "extras": {"by": mark("extras")}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}], "name": mark("mesh's name")}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", **bounds}],
        "bufferViews": [{"buffer": 0, "byteLength": len(mesh)}],
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    text = json.dumps(document).encode()
    chunks = b"".join(
        struct.pack("<II", len(body) + -len(body) % 4, kind) + body + pad * (-len(body) % 4)
        for kind, body, pad in ((0x4E4F534A, text, b" "), (0x004E4942, binary, b"\0"))
    )
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _mp3(mark: Callable[[str], str]) -> bytes:
    title = b"\0" + mark("ID3v2").encode()
    frame = b"TIT2" + struct.pack(">I", len(title)) + b"\0\0" + title
    front = b"ID3\x03\0\0" + bytes((0, 0, len(frame) >> 7, len(frame) & 0x7F)) + frame
    return front + MP3_FRAME * 10 + b"TAG" + mark("ID3v1").encode().ljust(125, b"\0")


def _txt(mark: Callable[[str], str]) -> bytes:
    return f"A letter to {mark('words')}\n".encode()
