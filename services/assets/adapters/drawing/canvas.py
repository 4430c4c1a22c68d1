"""What all pictures have in common: how they come to fit into a box, and how they are written."""

from __future__ import annotations

import io

from PIL import Image

FEW_COLOURS = 256
_QUALITY = 82


class NothingToDraw(Exception):
    """The file is no picture of anything: trying again would not help."""


def fitted(image: Image.Image, box: int) -> Image.Image:
    """The picture, no longer than `box` pixels on either side; never larger than it was."""
    scale = box / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def encoded(image: Image.Image) -> bytes:
    """WebP without a word about where it came from; drawings with few colours lose nothing."""
    image.info.clear()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    lossless = image.getcolors(FEW_COLOURS) is not None
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4, lossless=lossless)
    return buffer.getvalue()
