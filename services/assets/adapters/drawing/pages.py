"""Text: a sheet of paper with its first lines."""

from __future__ import annotations

import io
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import islice
from math import ceil

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from services.assets.adapters.drawing.canvas import NothingToDraw

_FONT = (files("font_source_sans_pro") / "files/SourceSansPro-Regular.ttf").read_bytes()
_ENOUGH = 0.9
"""Of what stands in a text that the font has to have: it knows Latin, Greek and Cyrillic letters."""
_LOOKED_AT = 8000  # characters; more do not fit on the sheet
_TABLE, _SHADE, _PAPER, _INK = (228, 231, 238), (150, 156, 172), (255, 255, 253), (46, 48, 62)
_SHAPE = 3 / 4
_EDGE, _MARGIN = 0.045, 0.085  # of the height: the table around the sheet, the sheet around the words
_SIZES = {True: 0.0275, False: 0.058}  # of letters, by whether the picture is large
_LINE = 1.42


def draw(content: bytes, _content_type: str, boxes: Sequence[int]) -> list[Image.Image]:
    """One for each box; in a small one fewer words in larger letters."""
    text = _drawable(unicodedata.normalize("NFC", content[: 4 * _LOOKED_AT].decode(errors="ignore")))
    return [_sheet(text, box) for box in boxes]


def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(io.BytesIO(_FONT), size, layout_engine=ImageFont.Layout.BASIC)


def _drawable(text: str) -> str:
    """The text without what the font does not have; raises NothingToDraw if that is much of it."""
    font = _font(16)
    missing = _mask(font, "\uffff")  # what stands in for letters that it does not have
    shown = [c for c in text[:_LOOKED_AT].expandtabs(4) if c.isspace() or c.isprintable()]
    unknown = {c for c in set(shown) if not c.isspace() and _mask(font, c) == missing}
    letters = [c for c in shown if not c.isspace()]
    if not letters or sum(c not in unknown for c in letters) < _ENOUGH * len(letters):
        raise NothingToDraw
    return "".join(" " if c in unknown else c for c in shown)


def _mask(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    return bytes(font.getmask(character))


def _sheet(text: str, box: int) -> Image.Image:
    height, width = box, round(box * _SHAPE)
    edge, margin = round(box * _EDGE), round(box * (_EDGE + _MARGIN))
    size = box * _SIZES[box > 512]
    image = Image.new("RGB", (width, height), _TABLE)
    paper = (edge, edge, width - edge, height - edge)
    shade = Image.new("L", image.size)
    ImageDraw.Draw(shade).rectangle((edge, edge + edge // 4, width - edge, height - edge // 2), fill=170)
    image.paste(_SHADE, mask=shade.filter(ImageFilter.GaussianBlur(edge / 3)))
    pen = ImageDraw.Draw(image)
    pen.rectangle(paper, fill=_PAPER)
    font, room = _font(size), int((height - 2 * margin) / (size * _LINE))
    for number, line in enumerate(islice(_lines(text, font, width - 2 * margin), room)):
        pen.text((margin, margin + number * size * _LINE), line, fill=_INK, font=font)
    return image


def _lines(text: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    """The text in lines that are no wider."""
    for paragraph in text.strip("\n").splitlines():
        line = ""
        for word in paragraph.rstrip().split(" "):
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                yield line
            line = word
            while font.getlength(line) > width:
                fits = _fitting(line, font, width)
                yield line[:fits]
                line = line[fits:]
        yield line


def _fitting(word: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many of its first letters are no wider; one, if even that is."""
    return max(
        1, bisect_right(range(1, len(word)), width, key=lambda most: ceil(font.getlength(word[:most])))
    )
