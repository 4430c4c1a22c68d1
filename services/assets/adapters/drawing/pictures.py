"""Pictures: the first frame, its colours as every screen understands them, its transparency kept."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageCms

from services.assets.adapters.drawing.canvas import fitted

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_DEEP = 65535  # the brightest of modes with more than 8 bits


def draw(content: bytes, content_type: str, boxes: Sequence[int]) -> list[Image.Image]:
    """One for each box. The library keeps pictures upright, so nothing is turned here."""
    with opened(content, _FORMATS[content_type]) as image:
        profile = image.info.get("icc_profile")
        image.draft(
            image.mode, (2 * max(boxes), 2 * max(boxes))
        )  # decodes a large JPEG at a fraction of its size
        seen = in_srgb(fitted(_plain(image), max(boxes)), profile)
    return [fitted(seen, box) for box in boxes]


def opened(content: bytes, *formats: str) -> Image.Image:
    """A picture of one of these formats, not yet decoded."""
    return Image.open(io.BytesIO(content), formats=formats)


def rehearse() -> None:
    """Read one of each format: what Pillow loads late is loaded while it still can be."""
    for content_type, name in _FORMATS.items():
        buffer = io.BytesIO()
        Image.new("RGB", (2, 2)).save(buffer, name)
        draw(buffer.getvalue(), content_type, (1,))


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that can be scaled: L, RGB, RGBA or CMYK."""
    if "transparency" in image.info or image.mode in {"PA", "LA", "La", "RGBa"}:
        return image.convert("RGBA")
    if image.mode.startswith(("I", "F")):
        return image.convert("F").point(lambda value: value * (255 / _DEEP)).convert("L")
    if image.mode in {"L", "RGB", "RGBA", "CMYK"}:
        image.load()
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB; a profile that can't be used is taken for sRGB."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    if profile:
        colours = _transformed(colours, profile)
    colours = colours.convert("RGB")
    if alpha:
        colours.putalpha(alpha)
    return colours


def _transformed(colours: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() == "RGB":
            colours = colours.convert("RGB")
        found = ImageCms.profileToProfile(colours, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return colours
    return colours if found is None else found
