"""Pictures drawn fresh: a composition from a prompt's hash, or a given picture visibly retouched.

The same prompt and index always give the same picture, so that tests can tell them apart; nothing
is stored. One 1024 x 1024 picture, encoded, takes under 150 ms of one core.
"""

from __future__ import annotations

import hashlib
import io
import math
import unicodedata
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Colour = tuple[int, int, int]
# Larger pictures are drawn at this many pixels and scaled: the cost stays flat.
DRAWN_PIXELS = 1_600_000


def draw(prompt: str, index: int, size: tuple[int, int]) -> Image.Image:
    """A landscape from the words of `prompt`: sky, sun, hills, towers, and the words' initials."""
    chance = _chance(prompt, index)
    palette = _palette(chance)
    drawn = _drawn_size(size)
    picture = _sky(drawn, palette)
    brush = ImageDraw.Draw(picture, "RGBA")
    _stars_and_sun(brush, drawn, chance, palette)
    for depth in range(4):
        _hills(brush, drawn, chance, palette, depth)
    _towers(brush, drawn, chance, palette, prompt)
    _initials(brush, drawn, prompt, palette)
    return picture if drawn == size else picture.resize(size, Image.Resampling.BILINEAR)


def retouch(sources: list[Image.Image], prompt: str, index: int, size: tuple[int, int]) -> Image.Image:
    """The first source, cropped to `size`, posterised, tinted and framed with the prompt's words.

    Further sources appear as small pictures in the corner.
    """
    chance = _chance(prompt, index)
    palette = _palette(chance)
    drawn = _drawn_size(size)
    upright = ImageOps.exif_transpose(sources[0]).convert("RGB")
    base = ImageOps.fit(upright, drawn, Image.Resampling.BILINEAR, centering=(0.5, 0.3))
    posterised = ImageEnhance.Color(ImageOps.posterize(base, 3)).enhance(1.4)
    tinted = Image.blend(posterised, Image.new("RGB", drawn, palette[1]), 0.22)
    for place, source in enumerate(sources[1:], 1):
        small = ImageOps.fit(source.convert("RGB"), (drawn[0] // 6, drawn[1] // 6))
        tinted.paste(
            ImageOps.expand(small, 4, palette[0]), (drawn[0] - place * drawn[0] // 5, drawn[1] // 12)
        )
    _frame(tinted, prompt, palette)
    return tinted if drawn == size else tinted.resize(size, Image.Resampling.BILINEAR)


def encode(picture: Image.Image, kind: str, compression: int = 100) -> bytes:
    """The bytes of `picture` as "png", "jpeg" or "webp"; `compression` is OpenAI's 0-100."""
    out = io.BytesIO()
    if kind == "png":
        picture.save(out, "PNG", compress_level=1)  # a third of the time of the default
    elif kind == "jpeg":
        picture.convert("RGB").save(out, "JPEG", quality=max(1, min(95, compression)))
    else:
        picture.save(out, "WEBP", quality=max(1, compression), method=0)
    return out.getvalue()


def cut_out(picture: Image.Image) -> Image.Image:
    """`picture` on a transparent ground: an ellipse of it."""
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse((0, 0, picture.width - 1, picture.height - 1), fill=255)
    picture.putalpha(mask)
    return picture


def only_where_transparent(changed: Image.Image, original: Image.Image, mask: Image.Image) -> Image.Image:
    """`original` at the size of `changed`, changed only where `mask` is transparent."""
    kept = mask.convert("RGBA").getchannel("A").resize(changed.size)
    return Image.composite(ImageOps.fit(original.convert("RGB"), changed.size), changed, kept)


def _chance(prompt: str, index: int) -> Random:
    digest = hashlib.sha256(f"{index}\0{prompt}".encode()).digest()
    return Random(digest)  # noqa: S311 - the same words, the same picture


def _drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = math.sqrt(DRAWN_PIXELS / (size[0] * size[1]))
    return size if scale >= 1 else (round(size[0] * scale), round(size[1] * scale))


def _palette(chance: Random) -> list[Colour]:
    """Four colours from dark to light, from one hue to its neighbour, and an accent across the wheel."""
    hue, turn = chance.random(), chance.choice([-0.11, -0.07, 0.07, 0.11])
    shades = [(hue + turn * n, 0.8 - 0.17 * n, 0.22 + 0.25 * n) for n in range(4)]
    return [_rgb(*shade) for shade in shades] + [_rgb(hue + 1.5 * turn + 0.5, 0.5, 1.0)]


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    picture = Image.new("HSV", (1, 1), (int(hue % 1 * 255), int(saturation * 255), int(value * 255)))
    pixel = picture.convert("RGB").tobytes()
    return pixel[0], pixel[1], pixel[2]


def _sky(size: tuple[int, int], palette: list[Colour]) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size, Image.Resampling.BILINEAR)
    return ImageOps.colorize(ramp, palette[1], palette[3], mid=palette[2], blackpoint=0, whitepoint=150)


def _stars_and_sun(
    brush: ImageDraw.ImageDraw, size: tuple[int, int], chance: Random, palette: list[Colour]
) -> None:
    width, height = size
    for _ in range(90):
        x, y, r = chance.random() * width, chance.random() * height * 0.5, chance.random() * width / 400
        brush.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255, 150))
    x, y = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.15, 0.4)
    for ring in range(6, 0, -1):
        r = min(size) * 0.035 * ring
        brush.ellipse((x - r, y - r, x + r, y + r), fill=(*palette[4], 255 if ring <= 2 else 40))


def _hills(
    brush: ImageDraw.ImageDraw, size: tuple[int, int], chance: Random, palette: list[Colour], depth: int
) -> None:
    width, height = size
    base = height * (0.5 + 0.11 * depth)
    waves = [(chance.uniform(1, 5) * (1 + depth / 2), chance.uniform(0, 6.3)) for _ in range(3)]
    ridge = [
        (x, base + sum(math.sin(x / width * f + p) for f, p in waves) * height * 0.035)
        for x in range(0, width + 16, 16)
    ]
    shade = palette[max(0, 2 - depth)]
    brush.polygon([*ridge, (width + 16, height), (0, height)], fill=(*shade, 235 - 20 * (3 - depth)))


def _towers(
    brush: ImageDraw.ImageDraw, size: tuple[int, int], chance: Random, palette: list[Colour], prompt: str
) -> None:
    """One tower a word, as tall as the word is long."""
    width, height = size
    words = prompt.split()[:14] or ["."]
    for place, word in enumerate(words):
        x = width * (place + 0.5) / len(words)
        half = width / len(words) * chance.uniform(0.12, 0.3)
        top = height * (0.82 - 0.025 * min(len(word), 14))
        colour = palette[chance.choice([0, 3, 4])]
        if chance.random() < 0.5:
            brush.polygon([(x - half, height), (x, top), (x + half, height)], fill=(*colour, 210))
        else:
            brush.rounded_rectangle((x - half, top, x + half, height), half / 2, fill=(*colour, 210))


def _initials(brush: ImageDraw.ImageDraw, size: tuple[int, int], prompt: str, palette: list[Colour]) -> None:
    letters = "".join(word[0].upper() for word in _plain(prompt).split()[:10] if word[0].isalnum()) or "?"
    font = ImageFont.load_default(min(size) // 9)
    place = (size[0] / 2, size[1] * 0.9)
    brush.text(
        place, letters, font=font, fill=palette[4], anchor="mm", stroke_width=4, stroke_fill=palette[0]
    )


def _plain(text: str) -> str:
    """Letters that the built-in font has: accents dropped, other scripts left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _frame(picture: Image.Image, prompt: str, palette: list[Colour]) -> None:
    width, height = picture.size
    border = max(8, min(picture.size) // 40)
    brush = ImageDraw.Draw(picture, "RGBA")
    brush.rectangle((0, 0, width - 1, height - 1), outline=palette[4], width=border)
    brush.rectangle((border, height - 5 * border, width - border, height - border), fill=(0, 0, 0, 150))
    words = " ".join(_plain(prompt).split())[:60]
    font = ImageFont.load_default(2 * border)
    brush.text((width / 2, height - 3 * border), words, font=font, fill=palette[4], anchor="mm")
