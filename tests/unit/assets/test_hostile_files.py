"""Whatever the bytes: a refusal or a clean file, in little time."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.assets.adapters.pictures import checked
from services.assets.domain.media import TYPES, clean, sniff
from services.assets.domain.media.types import MediaKind
from tests.unit.assets import makers, scenes
from tests.unit.assets.recordings import NAMES, recording

SECONDS = 2.0  # of work; what the machine gives to others meanwhile does not count
MEBIBYTE = 1 << 20


@cache
def seeds() -> list[bytes]:
    """True files of every type; made when the first test asks."""
    recordings = [recording(name)[1] for name in NAMES if recording(name)[0] != "audio/wav"]
    return [make() for make in makers.FILES.values()] + recordings + [
        makers.vorbis(), makers.apng(), makers.png("P"), makers.jpeg(progressive=True),
        makers.webm(live=True), makers.webp(lossless=True), makers.webp(frames=3), scenes.everything(),
    ]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A true file with bytes changed, moved, doubled, or cut out."""
    content = bytearray(draw(st.sampled_from(seeds())))
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
        started = time.process_time()
        try:
            parts = clean(media, content)
            if media.kind is MediaKind.IMAGE and not parts.decoded:
                parts = checked(media, parts)
        except Refusal:
            continue
        finally:
            assert time.process_time() - started < SECONDS
        assert clean(media, parts.content).content == parts.content


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken())
def test_a_broken_file_is_refused_or_becomes_clean(content: bytes) -> None:
    take(content)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken())
def test_many_broken_files_are_refused_or_become_clean(content: bytes) -> None:
    take(content)


@st.composite
def begun(draw: st.DrawFn) -> bytes:
    """The beginning of a true file, and then anything."""
    beginning = draw(st.sampled_from(seeds()))[: draw(st.sampled_from((4, 8, 12, 16, 30)))]
    return beginning + draw(st.binary(max_size=300))


@settings(max_examples=300, deadline=None)
@given(begun())
def test_a_beginning_and_then_anything_is_refused_or_becomes_clean(content: bytes) -> None:
    take(content)


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
    started = time.process_time()
    with pytest.raises(Refusal):
        TYPES[kind].clean(content)
    assert time.process_time() - started < SECONDS * 2


def test_a_long_live_recording_is_read_once_from_end_to_end() -> None:
    one = makers.webm(live=True)
    cluster = one[one.index(b"\x1f\x43\xb6\x75") :]
    began = time.process_time()
    cleaned = TYPES["video/webm"].clean(one + cluster * 1500)
    assert time.process_time() - began < SECONDS * 2
    assert makers.SECRET not in cleaned.content


def test_many_images_of_one_picture_cost_one_picture() -> None:
    image = {"bufferView": 1, "mimeType": "image/jpeg"}
    TYPES["model/gltf-binary"].clean(makers.glb(images=[image] * 128))
    with pytest.raises(Refusal, match="pictures"):
        TYPES["model/gltf-binary"].clean(makers.glb(images=[image] * 129))


def flac_of(frames: int) -> bytes:
    """FLAC of frames that are as short as they can be, under ever longer numbers."""
    info = struct.pack(">HH", 192, 192) + bytes(6) + (44_100 << 44 | 15 << 36).to_bytes(8) + bytes(16)
    return b"fLaC\x80\0\0\x22" + info + makers.flac_frames(frames)


def mp4_of(samples: int) -> bytes:
    """MP4 of samples of one byte, each in a chunk of its own, or with a time of its own."""
    whole = makers.mp4()
    at = whole.index(b"avc1") - 4
    entry = whole[at : at + int.from_bytes(whole[at : at + 4])]
    many = makers.mp4_track(b"vide", [1] * samples, 0, entry=entry)
    times = makers.box(b"ctts", bytes(4), struct.pack(">I", samples), struct.pack(">II", 1, 2) * samples)
    table = many.index(b"stts") - 4
    many = many[:table] + times + many[table:]
    for outer in (b"trak", b"mdia", b"minf", b"stbl"):
        place = many.index(outer) - 4
        size = int.from_bytes(many[place : place + 4]) + len(times)
        many = many[:place] + size.to_bytes(4) + many[place + 4 :]
    head, movie = (
        whole[: whole.index(b"moov") - 4],
        whole[whole.index(b"mvhd") - 4 : whole.index(b"trak") - 4],
    )
    start = len(head) + 16 + len(movie) + len(many)
    many = many.replace(b"stco" + bytes(7) + b"\1" + bytes(4), b"stco" + bytes(7) + b"\1" + start.to_bytes(4))
    return head + makers.box(b"moov", movie, many) + makers.box(b"mdat", bytes(samples))


def webm_of(blocks: int, *, clusters: bool) -> bytes:
    """WebM of blocks without a frame, in one cluster or each in one of its own."""
    whole = makers.webm()
    begin, end = whole.index(b"\x18\x53\x80\x67"), whole.index(b"\x1f\x43\xb6\x75")
    block = b"\xa3\x84\x81\0\0\x80"
    time, name = makers.element(0xE7, b"\0"), 0x1F43B675
    inner = (
        makers.element(name, time, block) * blocks if clusters else makers.element(name, time, block * blocks)
    )
    return whole[:begin] + makers.element(0x18538067, whole[begin + 12 : end], inner)


def ogg_of(pages: int) -> bytes:
    """Ogg of pages with nothing on them."""
    head = makers.ogg_page(0, 2, [b"OpusHead\x01\x01" + bytes(9)]) + makers.ogg_page(
        1, 0, [b"OpusTags" + bytes(8)]
    )
    return head + makers.ogg_page(2, 0, []) * pages


def glb_of(meshes: int) -> bytes:
    """A model of meshes that all read the same bytes, a little shifted."""
    accessors = [
        {
            "bufferView": 0,
            "byteOffset": n % 1000,
            "componentType": 5121,
            "count": 1 + n % 40,
            "type": "SCALAR",
        }
        for n in range(meshes)
    ]
    return scenes.packed({
        "asset": {"version": "2.0"}, "accessors": accessors,
        "meshes": [{"primitives": [{"attributes": {"POSITION": n}} for n in range(meshes)]}],
        "bufferViews": [{"buffer": 0, "byteLength": 2000}], "buffers": [{"byteLength": 2000}],
    }, bytes(2000))  # fmt: skip


HOSTILE: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "flac": ("audio/flac", lambda size: flac_of(20_000 * size)),
    "mp3": ("audio/mpeg", lambda size: (b"\xff\xe3\x18\xc4" + bytes(68)) * 3 * (2000 * size)),
    "mp4": ("video/mp4", lambda size: mp4_of(50_000 * size)),
    "webm of blocks": ("video/webm", lambda size: webm_of(20_000 * size, clusters=False)),
    "webm of clusters": ("video/webm", lambda size: webm_of(10_000 * size, clusters=True)),
    "ogg": ("audio/ogg", lambda size: ogg_of(12_000 * size)),
    "glb": ("model/gltf-binary", lambda size: glb_of(4_000 * size)),
}


@pytest.mark.parametrize("size", [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_of_tiny_parts_takes_time_and_memory_as_it_is_long(name: str, size: int) -> None:
    kind, make = HOSTILE[name]
    content = make(size)
    began = time.process_time()
    taken = outcome(kind, content)
    assert time.process_time() - began < SECONDS * max(1, size / 2)
    assert taken or size > 1
    tracemalloc.start()
    try:
        outcome(kind, content)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 16 * MEBIBYTE + 12 * len(content)


def outcome(kind: str, content: bytes) -> bytes:
    """What is left of it; nothing if it is refused."""
    try:
        return TYPES[kind].clean(content).content
    except Refusal:
        return b""
