"""What leaves a file and what stays, for every type that the library keeps."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from chassis.errors import Refusal
from services.assets.adapters.pictures import checked
from services.assets.domain.media import TYPES, clean, sniff
from services.assets.domain.refusals import (
    ContentDamaged,
    ContentTypeMismatch,
    ContentUnsupported,
    PictureTooLarge,
)
from tests.unit.assets import makers

PICTURES = {
    "jpeg": ("image/jpeg", makers.jpeg),
    "jpeg, progressive": ("image/jpeg", lambda: makers.jpeg(progressive=True)),
    "jpeg, grey": ("image/jpeg", lambda: makers.jpeg(mode="L")),
    "jpeg, for print": ("image/jpeg", lambda: makers.jpeg(mode="CMYK")),
    "png": ("image/png", makers.png),
    "png, palette": ("image/png", lambda: makers.png("P")),
    "png, alpha": ("image/png", lambda: makers.png("RGBA")),
    "png, one bit": ("image/png", lambda: makers.png("1")),
    "png, animated": ("image/png", makers.apng),
    "webp": ("image/webp", makers.webp),
    "webp, lossless": ("image/webp", lambda: makers.webp(lossless=True)),
    "webp, animated": ("image/webp", lambda: makers.webp(frames=3)),
    "gif": ("image/gif", makers.gif),
}
OTHERS = {
    "glb": ("model/gltf-binary", makers.glb),
    "wav": ("audio/wav", makers.wav),
    "mp3": ("audio/mpeg", makers.mp3),
    "opus": ("audio/ogg", makers.opus),
    "vorbis": ("audio/ogg", makers.vorbis),
    "flac": ("audio/flac", makers.flac),
    "mp4": ("video/mp4", makers.mp4),
    "webm": ("video/webm", makers.webm),
    "webm, recorded live": ("video/webm", lambda: makers.webm(live=True)),
    "text": ("text/plain", makers.text),
}
ALL = PICTURES | OTHERS
each = pytest.mark.parametrize("name", ALL)
each_picture = pytest.mark.parametrize("name", PICTURES)


def cleaned(name: str) -> tuple[bytes, bytes]:
    kind, make = ALL[name]
    before = make()
    return before, clean(TYPES[kind], before).content


def frames(content: bytes) -> list[Image.Image]:
    with Image.open(io.BytesIO(content)) as image:
        return [
            (image.seek(number), image.convert("RGBA"))[1] for number in range(getattr(image, "n_frames", 1))
        ]


@each
@pytest.mark.promise("2a-input-media", "5-ai-min-input")
def test_nothing_that_was_said_about_the_file_stays(name: str) -> None:
    _, after = cleaned(name)
    assert makers.SECRET not in after
    assert makers.TEXT.encode("utf-16-be") not in after
    assert makers.TEXT.encode("utf-16-le") not in after
    assert b"WHEN" not in after


@each
def test_what_is_clean_stays_as_it_is(name: str) -> None:
    _, after = cleaned(name)
    assert clean(TYPES[ALL[name][0]], after).content == after


@each
def test_the_type_is_told_from_the_bytes(name: str) -> None:
    kind, make = ALL[name]
    assert sniff(make()) == kind
    assert sniff(cleaned(name)[1]) == kind


@each_picture
def test_every_pixel_stays_the_same(name: str) -> None:
    before, after = cleaned(name)
    for one, other in zip(frames(before), frames(after), strict=True):
        assert ImageChops.difference(one, other).getbbox() is None


@each_picture
def test_what_decodes_is_taken_without_another_encoding(name: str) -> None:
    kind, make = PICTURES[name]
    parts = clean(TYPES[kind], make())
    assert checked(TYPES[kind], parts).content == parts.content
    assert (parts.width, parts.height) == makers.SIZE


@pytest.mark.parametrize("make", [makers.jpeg, makers.png, makers.webp])
def test_colours_keep_their_meaning_without_the_profiles_texts(make: object) -> None:
    content = make()  # type: ignore[operator]
    after = clean(TYPES[sniff(content) or ""], content).content
    with Image.open(io.BytesIO(after)) as image:
        kept = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    told = ImageCms.ImageCmsProfile(io.BytesIO(makers.profile()))
    assert ImageCms.getProfileDescription(kept).strip() == "Colour"
    lab = ImageCms.createProfile("LAB")
    shown = [ImageCms.profileToProfile(makers.picture(), p, lab, outputMode="LAB") for p in (kept, told)]
    assert ImageChops.difference(*shown).getbbox() is None


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize(
    "make", [makers.jpeg, lambda o: makers.png(orientation=o), lambda o: makers.webp(orientation=o)]
)
def test_a_picture_that_its_exif_turns_is_turned(make: object, orientation: int) -> None:
    before: bytes = make(orientation)  # type: ignore[operator]
    kind = TYPES[sniff(before) or ""]
    after = checked(kind, clean(kind, before))
    with Image.open(io.BytesIO(before)) as image, Image.open(io.BytesIO(after.content)) as turned:
        wanted = ImageOps.exif_transpose(image).convert("RGB")
        assert turned.size == wanted.size == (after.width, after.height)
        assert max(high for _, high in ImageChops.difference(wanted, turned.convert("RGB")).getextrema()) < 60
        assert not turned.getexif()
    assert makers.SECRET not in after.content


def test_what_was_cropped_away_does_not_stay_behind_the_rows() -> None:
    before = makers.png()
    start = before.index(b"IDAT") - 4
    size = struct.unpack_from(">I", before, start)[0]
    rows = before[start + 8 : start + 8 + size]
    leftover = before[:start] + makers.chunk(b"IDAT", rows + makers.SECRET * 9) + before[start + 12 + size :]
    after = clean(TYPES["image/png"], leftover).content
    assert makers.SECRET not in after
    assert frames(after)[0].tobytes() == frames(before)[0].tobytes()


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif", "glb", "wav", "mp4", "webm", "opus", "flac"])
def test_a_file_that_is_cut_off_is_refused(name: str) -> None:
    kind, make = ALL[name]
    whole = clean(TYPES[kind], make()).content
    for size in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        with pytest.raises(Refusal):
            checked(TYPES[kind], clean(TYPES[kind], whole[:size])) if kind.startswith("image") else clean(
                TYPES[kind], whole[:size]
            )


@each
def test_a_file_under_another_type_is_refused(name: str) -> None:
    kind, make = ALL[name]
    for other in TYPES:
        if other != kind:
            with pytest.raises(ContentTypeMismatch):
                clean(TYPES[other], make())


def bomb(width: int, height: int) -> bytes:
    """A small PNG that claims to be large, and would inflate to it."""
    rows = zlib.compress(bytes(10_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + makers.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + makers.chunk(b"IDAT", rows) + makers.chunk(b"IEND", b"")
    )  # fmt: skip


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(PictureTooLarge) as refused:
        clean(TYPES["image/png"], bomb(30_000, 30_000))
    assert refused.value.metadata["pixels"] == str(30_000 * 30_000)
    with pytest.raises(ContentDamaged):
        clean(TYPES["image/png"], bomb(100, 100))  # ten megabytes where thirty kilobytes should be


def test_a_picture_of_many_scans_is_refused() -> None:
    before = makers.jpeg(progressive=True)
    start = before.index(b"\xff\xda")
    scan = before[start : before.index(b"\xff\xd9", start)]
    frame = before.index(b"\xff\xc2")
    large = before[: frame + 5] + struct.pack(">HH", 8000, 8000) + before[frame + 9 : start]
    with pytest.raises(PictureTooLarge):
        clean(TYPES["image/jpeg"], large + scan * 100 + b"\xff\xd9")


def test_a_frame_of_an_unknown_filter_is_refused() -> None:
    rows = zlib.compress(b"\x07\0\0\0")
    head = makers.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    with pytest.raises(ContentDamaged):
        clean(
            TYPES["image/png"],
            b"\x89PNG\r\n\x1a\n" + head + makers.chunk(b"IDAT", rows) + makers.chunk(b"IEND", b""),
        )


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 17)])
def test_interlaced_pictures_are_read_to_their_last_row(mode: str, size: tuple[int, int]) -> None:
    """Adam7 is written by hand: Pillow reads it only."""
    depth, colour, bits = {
        "L": (8, 0, 8),
        "RGBA": (8, 6, 32),
        "P": (8, 3, 8),
        "1": (1, 0, 1),
        "I;16": (16, 0, 16),
    }[mode]
    rows = b""
    for left, top, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        columns, lines = len(range(left, size[0], across)), len(range(top, size[1], down))
        if columns:
            rows += (b"\0" + bytes((columns * bits + 7) // 8)) * lines
    head = makers.chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 1))
    palette = makers.chunk(b"PLTE", bytes(3)) if mode == "P" else b""
    made = (
        b"\x89PNG\r\n\x1a\n"
        + head
        + palette
        + makers.chunk(b"IDAT", zlib.compress(rows))
        + makers.chunk(b"IEND", b"")
    )
    assert frames(made)[0].size == size
    assert clean(TYPES["image/png"], made).content == made
    short = head + palette + makers.chunk(b"IDAT", zlib.compress(rows[:-1])) + makers.chunk(b"IEND", b"")
    with pytest.raises(ContentDamaged):
        clean(TYPES["image/png"], b"\x89PNG\r\n\x1a\n" + short)


def test_sound_keeps_its_samples() -> None:
    before, after = cleaned("wav")
    with wave.open(io.BytesIO(before)) as one, wave.open(io.BytesIO(after)) as other:
        assert one.getparams() == other.getparams()
        assert one.readframes(4096) == other.readframes(4096)
    assert cleaned("mp3")[1] == (b"\xff\xfb\x90\x64" + bytes(413)) * 10
    assert cleaned("flac")[1].endswith(makers.flac_frames())


def test_ogg_keeps_its_sound_on_pages_with_right_checksums() -> None:
    _, after = cleaned("opus")
    assert after.endswith(
        makers.ogg_page(2, 0, [b"\xfc\xff\xfe" * 20, b"\xfc\xff\xfe" * 100], serial=1)
        + makers.ogg_page(3, 4, [b"\xfc\xff\xfe"], serial=1)
    )
    assert makers.ogg_page(1, 0, [b"OpusTags" + bytes(8)], serial=1) in after
    broken = bytearray(after)
    broken[-1] ^= 1
    with pytest.raises(ContentDamaged):
        clean(TYPES["audio/ogg"], bytes(broken))


def test_video_keeps_pictures_and_sound_and_nothing_else() -> None:
    _, after = cleaned("mp4")
    assert after.endswith(b"mdatPICT1PICT22SOUND33")
    for kept in (b"vide", b"soun", b"avc1", b"mp4a"):
        assert after.count(kept) == 1
    for gone in (b"gpmd", b"udta", b"uuid", b"free"):
        assert gone not in after
    _, after = cleaned("webm")
    assert after.count(b"PICTURES") == 2


@pytest.mark.parametrize(("kind", "content"), [
    ("video/mp4", makers.mp4().replace(b"mvhd", b"mvex")),
    ("video/mp4", makers.mp4().replace(b"\0\0\0\1", b"\0\0\0\0")),
    ("video/mp4", makers.mp4().replace(b"vide", b"text")),
    ("video/webm", makers.webm().replace(b"V_VP9", b"S_TXT")),
    ("audio/ogg", makers.opus().replace(b"OpusHead", b"OtherHea")),
    ("model/gltf-binary", makers.glb(buffers=[{"uri": "http://tracker.example/", "byteLength": 1}])),
    ("model/gltf-binary", makers.glb(images=[{"uri": "photo.jpg"}])),
    ("model/gltf-binary", makers.glb(extensionsRequired=["VRM"])),
    ("model/gltf-binary", makers.glb(inner=b"not a picture at all....")),
    ("model/gltf-binary", makers.glb(asset={"version": "1.0"})),
    ("model/gltf-binary", makers.glb(bufferViews=[{"buffer": 0, "byteOffset": 10**9, "byteLength": 4}])),
])  # fmt: skip
def test_variants_that_are_not_taken_are_refused_with_a_reason(kind: str, content: bytes) -> None:
    with pytest.raises((ContentUnsupported, ContentDamaged)) as refused:
        clean(TYPES[kind], content)
    assert "The file can't be taken: " in str(refused.value)


def test_a_model_keeps_what_is_drawn() -> None:
    _, after = cleaned("glb")
    size = struct.unpack_from("<I", after, 12)[0]
    document, binary = json.loads(after[20 : 20 + size]), after[28 + size :]
    assert document["asset"] == {"version": "2.0"}
    assert document["nodes"] == [{"mesh": 0}]
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert binary[:36] == struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    view = document["bufferViews"][1]
    inner = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert frames(inner)[0].tobytes() == frames(makers.jpeg())[0].tobytes()


def test_a_picture_in_a_model_that_grows_moves_to_the_end() -> None:
    inner = makers.jpeg()
    plain = clean(TYPES["image/jpeg"], inner).content
    again = clean(TYPES["model/gltf-binary"], makers.glb(inner=plain)).content
    assert plain in again
    before, after = (
        makers.glb(inner=makers.png("L")),
        clean(TYPES["model/gltf-binary"], makers.glb(inner=makers.png("L"))).content,
    )
    assert makers.SECRET in before
    assert makers.SECRET not in after
