"""Whether bytes are a picture, however they were made."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from services.generation.adapters.pictures import Pictures, type_of


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(out, kind)
    return out.getvalue()


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    looking = Pictures()
    yield looking
    looking.close()


@pytest.mark.parametrize(
    ("kind", "found"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_a_picture_is_known_by_its_bytes(pictures: Pictures, kind: str, found: str) -> None:
    assert await pictures.type_of(picture(kind)) == found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_ends_in_the_middle_is_none(kind: str) -> None:
    whole = picture(kind)
    assert type_of(whole[: len(whole) // 2]) is None


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", picture("GIF"), picture("BMP")]
)
def test_other_bytes_are_none(content: bytes) -> None:
    assert type_of(content) is None


def test_a_damaged_picture_is_none() -> None:
    content = bytearray(picture())
    content[len(content) // 2] ^= 0xFF
    assert type_of(bytes(content)) is None


@pytest.mark.parametrize("size", [(8, 8), (8200, 16)])
def test_a_picture_of_a_size_that_nobody_orders_is_none(size: tuple[int, int]) -> None:
    assert type_of(picture(size=size)) is None


def test_a_picture_that_would_fill_the_memory_is_not_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    assert type_of(bomb) is None
