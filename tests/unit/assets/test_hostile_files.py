"""Whatever the bytes: a refusal or a clean file, in little time."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.assets.adapters.pictures import checked
from services.assets.domain.media import TYPES, clean, sniff
from services.assets.domain.media.types import MediaKind
from tests.unit.assets import makers

SEEDS = [make() for make in makers.FILES.values()] + [
    makers.vorbis(), makers.apng(), makers.png("P"), makers.jpeg(progressive=True), makers.webm(live=True),
    makers.webp(lossless=True), makers.webp(frames=3),
]  # fmt: skip
SECONDS = 2.0


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A true file with bytes changed, moved, doubled, or cut out."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        size = draw(st.sampled_from((0, 1, 1, 2, 4, 8, 40, 400)))
        piece = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from((b"\xff" * 8, bytes(8), b"\x80\0\0\0", b"\x7f\xff\xff\xff")),
            )
        )
        if draw(st.booleans()):
            source = draw(st.integers(0, len(content)))
            piece = bytes(content[source : source + size])
        content[at : at + draw(st.sampled_from((0, size, len(piece))))] = piece
    return bytes(content)


def take(content: bytes) -> None:
    """As the workshop does; then what is left must be clean."""
    for media in {TYPES[name] for name in (sniff(content),) if name} or TYPES.values():
        started = time.monotonic()
        try:
            parts = clean(media, content)
            if media.kind is MediaKind.IMAGE and not parts.decoded:
                parts = checked(media, parts)
        except Refusal:
            continue
        finally:
            assert time.monotonic() - started < SECONDS
        assert clean(media, parts.content).content == parts.content


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken())
def test_a_broken_file_is_refused_or_becomes_clean(content: bytes) -> None:
    take(content)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([seed[:size] for seed in SEEDS for size in (4, 8, 12, 16, 30)])
)
def test_a_beginning_and_then_anything_is_refused_or_becomes_clean(content: bytes, beginning: bytes) -> None:
    take(beginning + content)


@pytest.mark.parametrize(("kind", "content"), [
    ("image/jpeg", b"\xff\xd8" + b"\xff\xe0\0\2" * 2_000_000),
    ("image/png", makers.png()[:33] + makers.chunk(b"teXt", b"") * 500_000),
    ("image/gif", makers.gif()[:800] + b"\x21\xfe\1a" * 2_000_000),
    ("image/webp", b"RIFF\xf0\xff\xff\x00WEBP" + b"ABCD\0\0\0\0" * 2_000_000),
    ("audio/mpeg", b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\xfb" * 20_000_000),
    ("audio/wav", b"RIFF\0\0\0\0WAVE" + b"ABCD\0\0\0\0" * 4_000_000),
    ("video/mp4", makers.mp4()[:24] + b"\0\0\0\x08free" * 4_000_000),
    ("video/webm", makers.webm()[:40] + b"\xec\x80" * 10_000_000),
    ("model/gltf-binary", b"glTF" + struct.pack("<IIII", 2, 400_020, 400_000, 0x4E4F534A) + b"[" * 400_000),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_file_of_millions_of_parts_keeps_nobody_busy(kind: str, content: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(Refusal):
        TYPES[kind].clean(content)
    assert time.monotonic() - started < SECONDS * 2


def test_a_long_live_recording_is_read_once_from_end_to_end() -> None:
    one = makers.webm(live=True)
    cluster = one[one.index(b"\x1f\x43\xb6\x75") :]
    began = time.monotonic()
    cleaned = TYPES["video/webm"].clean(one + cluster * 1500)
    assert time.monotonic() - began < SECONDS * 2
    assert makers.SECRET not in cleaned.content


def test_many_images_of_one_picture_cost_one_picture() -> None:
    image = {"bufferView": 1, "mimeType": "image/jpeg"}
    TYPES["model/gltf-binary"].clean(makers.glb(images=[image] * 128))
    with pytest.raises(Refusal, match="pictures"):
        TYPES["model/gltf-binary"].clean(makers.glb(images=[image] * 129))
