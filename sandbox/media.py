"""What a received picture says about itself besides its pixels."""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

# What Pillow names the places where cameras and editors leave traces.
METADATA_PLACES = {
    "exif": "exif",
    "xmp": "xmp",
    "XML:com.adobe.xmp": "xmp",
    "photoshop": "iptc",
    "comment": "comment",
    "Comment": "comment",
}


class NotAPicture(Exception):
    """The bytes do not decode as PNG, JPEG or WebP within the size that is allowed."""


def opened(content: bytes) -> Image.Image:
    """The decoded picture. Raises NotAPicture."""
    try:
        with warnings.catch_warnings():
            # A picture of a few kilobytes may claim a few gigabytes of pixels.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP"))
            picture.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise NotAPicture(str(error)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotAPicture(str(error)) from error
    return picture


def metadata_in(content: bytes) -> list[str]:
    """Which kinds of metadata the bytes carry: exif, xmp, iptc, comment, text; [] is clean."""
    try:
        picture = opened(content)
    except NotAPicture:
        return []
    kinds = {METADATA_PLACES[key] for key in picture.info if key in METADATA_PLACES}
    if len(picture.getexif()) > 0:
        kinds.add("exif")
    if getattr(picture, "text", None):
        kinds.add("text")
    return sorted(kinds)
