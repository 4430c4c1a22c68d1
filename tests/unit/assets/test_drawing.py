"""What thumbnails and posters look like."""

from __future__ import annotations

import hashlib
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from services.assets.adapters.drawing import films, pages, pictures, sounds
from services.assets.adapters.drawing.canvas import NothingToDraw, encoded, fitted
from services.assets.adapters.workshop import examined
from services.assets.domain.media import TYPES
from tests.unit.assets import makers, reels

BOXES = (1024, 256)


def read(content: bytes) -> Image.Image:
    """What a browser makes of a rendition."""
    image = Image.open(io.BytesIO(content))
    image.load()
    assert image.format == "WEBP"
    return image


def of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawn(content: bytes, content_type: str, module: Any = pictures) -> list[Image.Image]:
    """Poster and thumbnail, as they are written and read again."""
    return [read(encoded(image)) for image in module.draw(content, content_type, BOXES)]


def near(found: Any, wanted: tuple[int, ...], within: int = 12) -> bool:
    """Whether a pixel has about this colour."""
    return all(abs(a - b) <= within for a, b in zip(found, wanted, strict=True))


def kept(content: bytes, content_type: str) -> bytes:
    """What the library keeps of a file."""
    return examined(TYPES[content_type], content, hashlib.sha256(content).hexdigest()).content


@pytest.mark.promise("2b-output")
def test_a_picture_fits_into_its_boxes_and_does_not_grow() -> None:
    large = drawn(of(makers.picture(size=(3000, 1500))), "image/png")
    assert [image.size for image in large] == [(1024, 512), (256, 128)]
    small = drawn(of(makers.picture()), "image/png")
    assert [image.size for image in small] == [makers.SIZE] * 2
    line = drawn(of(Image.new("RGB", (5000, 2), "red")), "image/png")
    assert [image.size for image in line] == [(1024, 1), (256, 1)]
    jpeg = drawn(of(makers.picture(size=(4000, 6000)), "JPEG"), "image/jpeg")
    assert [image.size for image in jpeg] == [(683, 1024), (171, 256)]


@pytest.mark.promise("2a-input-media")
@pytest.mark.parametrize("make", [makers.jpeg, makers.png, makers.webp, makers.gif, makers.apng])
def test_no_word_of_a_file_comes_along_even_if_it_was_never_cleaned(make: Any) -> None:
    content = make()
    content_type = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp", b"GI": "image/gif"}
    for image in pictures.draw(content, content_type[content[:2]], BOXES):
        written = encoded(image)
        assert makers.SECRET not in written
        assert not {b"EXIF", b"XMP ", b"ICCP"} & {written[at : at + 4] for at in range(len(written))}
        assert TYPES["image/webp"].clean(written).content == written


def test_a_photo_that_was_held_sideways_stands_upright() -> None:
    straight = drawn(kept(makers.jpeg(1), "image/jpeg"), "image/jpeg")[0]
    turned = drawn(kept(makers.jpeg(6), "image/jpeg"), "image/jpeg")[0]
    assert turned.size == straight.size[::-1]
    apart = ImageChops.difference(turned.transpose(Image.Transpose.ROTATE_90), straight)
    assert max(ImageStat.Stat(apart).mean) < 4


def test_transparency_stays_and_what_is_not_transparent_has_none() -> None:
    image = Image.new("RGBA", (600, 600), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 300, 600))
    poster, thumbnail = drawn(of(image), "image/png")
    for shown in (poster, thumbnail):
        assert shown.mode == "RGBA"
        assert shown.getpixel((2, 2)) == (0, 0, 255, 255)
        assert shown.getpixel((shown.width - 3, 2))[3] == 0
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette((9, 9, 9, 0, 255, 0))
    assert drawn(of(palette, "GIF", transparency=1), "image/gif")[0].getpixel((5, 5))[3] == 0
    assert drawn(of(Image.new("RGBA", (40, 40), "red")), "image/png")[0].mode == "RGB"


def swapped() -> bytes:
    """A colour profile in which red means green."""
    profile = bytearray(makers.profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_colours_are_those_that_the_profile_says() -> None:
    red = Image.new("RGB", (64, 64), (250, 10, 10))
    plain, with_profile = (drawn(of(red, icc_profile=p), "image/png")[0] for p in (None, swapped()))
    assert near(plain.getpixel((9, 9)), (250, 10, 10))
    assert near(with_profile.getpixel((9, 9)), (10, 250, 10))
    assert near(drawn(of(red, icc_profile=b"nonsense"), "image/png")[0].getpixel((9, 9)), (250, 10, 10))


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (Image.new("1", (64, 64), 1), (255, 255, 255)),
        (Image.new("L", (64, 64), 90), (90, 90, 90)),
        (Image.fromarray(np.full((64, 64), 32_768, np.uint16)), (128, 128, 128)),
        (Image.new("LA", (64, 64), (90, 255)), (90, 90, 90)),
        (Image.new("RGB", (64, 64), (10, 200, 60)).quantize(4), (10, 200, 60)),
    ],
)
def test_every_kind_of_picture_keeps_its_colours(image: Image.Image, wanted: tuple[int, ...]) -> None:
    assert near(drawn(of(image), "image/png")[0].getpixel((9, 9)), wanted)


def test_a_picture_for_printing_is_shown_as_on_paper() -> None:
    cyan = drawn(of(Image.new("CMYK", (64, 64), (255, 0, 0, 0)), "JPEG"), "image/jpeg")[0]
    red, green, blue = cyan.getpixel((9, 9))
    assert red < 60
    assert min(green, blue) > 120


@pytest.mark.parametrize(
    ("kind", "content_type"), [("GIF", "image/gif"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
def test_an_animation_shows_its_first_frame(kind: str, content_type: str) -> None:
    red, *others = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "lime"))
    content = of(red, kind, save_all=True, append_images=others, duration=100)
    assert near(drawn(content, content_type)[0].getpixel((9, 9)), (255, 0, 0))


def test_a_film_that_begins_in_the_dark_shows_what_comes_after() -> None:
    """All in one group of pictures, so that no frame but the black one stands alone."""
    frames = [Image.new("RGB", (320, 180))] * 30 + [reels.scene()] * 10
    content = reels.film(frames, sc_threshold="0")
    assert films.information(frames[0]) == 0
    assert films.information(reels.scene()) > films.TELLING
    poster, thumbnail = drawn(content, "video/mp4", films)
    assert (poster.size, thumbnail.size) == ((320, 180), (256, 144))
    assert near(poster.getpixel((20, 15)), (255, 0, 0), 40)


def test_a_film_is_looked_at_for_ten_seconds_only() -> None:
    dark, bright = Image.new("RGB", (64, 64), (9, 9, 9)), reels.scene((64, 64))
    late = drawn(reels.film([dark] * 260 + [bright] * 10), "video/mp4", films)[0]
    assert near(late.getpixel((8, 8)), (9, 9, 9), 20)


def test_a_film_is_shown_upright_and_in_its_shape() -> None:
    turned = drawn(reels.film([reels.scene()] * 3, turned=90), "video/mp4", films)[0]
    assert turned.size == (180, 320)
    assert near(
        turned.getpixel((12, 300)), (255, 0, 0), 40
    )  # what was at the upper left is at the lower left
    wide = drawn(reels.film([reels.scene((160, 160))] * 3, aspect=2), "video/mp4", films)[0]
    assert wide.size == (320, 160)
    webm = drawn(reels.film([reels.scene()] * 3, "webm"), "video/webm", films)[0]
    assert near(webm.getpixel((20, 15)), (255, 0, 0), 40)


def test_a_film_that_breaks_off_shows_what_there_is() -> None:
    frames = [reels.scene()] * 40
    content = bytearray(reels.film(frames, "webm"))
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    assert near(drawn(bytes(content), "video/webm", films)[0].getpixel((20, 15)), (255, 0, 0), 40)


def heights(image: Image.Image) -> Any:
    """How many bright pixels each column has."""
    return (np.asarray(image.convert("RGB")).max(axis=2) > 150).sum(axis=0)


@pytest.mark.parametrize(
    ("content_type", "container", "codec"),
    [
        ("audio/wav", "wav", "pcm_s16le"),
        ("audio/wav", "wav", "pcm_u8"),
        ("audio/wav", "wav", "pcm_f32le"),
        ("audio/mpeg", "mp3", "libmp3lame"),
        ("audio/flac", "flac", "flac"),
        ("audio/ogg", "ogg", "libopus"),
    ],
)
def test_sound_is_as_high_as_it_is_loud(content_type: str, container: str, codec: str) -> None:
    rate = reels.RATE if codec != "libopus" else 48_000
    loud = np.concatenate((np.full(rate, 0.9), np.full(rate, 0.1)))
    for image in drawn(reels.sound(loud, container, codec, rate), content_type, sounds):
        columns = heights(image)
        left, right = columns[: len(columns) * 4 // 10].max(), columns[len(columns) * 6 // 10 :].max()
        assert left > 2 * right > 0
    assert image.size == (256, 144)


def test_quiet_sound_is_drawn_as_large_as_loud_sound_and_silence_as_a_line() -> None:
    quiet, loud, silent = (
        heights(drawn(reels.sound(np.full(reels.RATE, level)), "audio/wav", sounds)[0]).max()
        for level in (0.02, 0.9, 0)
    )
    assert abs(quiet - loud) < 20
    assert 0 < silent < loud / 10


def test_a_text_shows_its_first_lines_on_a_sheet() -> None:
    text = "Grüße aus Köln, Ελλάδα и Київ.\n\n" + "word " * 4000 + "\n" + "x" * 5000
    poster, thumbnail = drawn(text.encode(), "text/plain", pages)
    assert (poster.size, thumbnail.size) == ((768, 1024), (192, 256))
    ink = np.asarray(poster.convert("L")) < 120
    assert 0.02 < ink.mean() < 0.3
    assert not ink[:80].any()
    assert not ink[-80:].any()
    assert not ink[:, :80].any()
    assert not ink[:, -80:].any()
    short = np.asarray(drawn(b"one line", "text/plain", pages)[0].convert("L")) < 120
    assert short[:200].any()
    assert not short[200:].any()


@pytest.mark.parametrize("text", ["これは日本語の文章です。", "مرحبا بالعالم", "\n \n\t", "🙂🙃🙂"])
def test_a_text_that_the_font_does_not_know_has_no_picture(text: str) -> None:
    with pytest.raises(NothingToDraw):
        pages.draw(text.encode(), "text/plain", BOXES)


def test_a_text_in_many_bytes_is_cut_between_letters() -> None:
    assert drawn(("ä" * 40_000).encode()[:-1], "text/plain", pages)


def test_drawings_with_few_colours_lose_nothing_and_photos_become_small() -> None:
    flat = Image.new("RGB", (300, 300), (12, 34, 56))
    flat.paste((250, 240, 230), (40, 40, 90, 90))
    assert read(encoded(flat.copy())).tobytes() == flat.tobytes()
    photo = fitted(makers.picture(size=(2048, 2048)), 1024)
    assert len(encoded(photo)) < 60_000
