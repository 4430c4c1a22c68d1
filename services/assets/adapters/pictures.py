"""Whether a picture decodes to its last row; turned upright if it was not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from PIL import Image, ImageSequence, JpegImagePlugin

from services.assets.domain.media import Cleaned, MediaType
from services.assets.domain.media.cleaned import PIXELS_MOST
from services.assets.domain.refusals import ContentDamaged

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
# What undoes each orientation of EXIF (table 6 of EXIF 2.32).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUALITY = 95


def checked(media: MediaType, cleaned: Cleaned) -> Cleaned:
    """The picture, decoded once and upright. Raises ContentDamaged.

    A picture that is upright keeps its bytes; one that was turned by its EXIF, which is gone, is
    encoded again.
    """
    content = cleaned.content
    with warnings.catch_warnings(), decoding():
        warnings.simplefilter("ignore")  # what decoders mutter about broken bytes is no news here
        with Image.open(io.BytesIO(content), formats=(_FORMATS[media.name],)) as picture:
            width, height = picture.size
            if (width, height) != (cleaned.width, cleaned.height) or width * height > PIXELS_MOST:
                raise ContentDamaged(problem="it says two different sizes")
            turned = _turned(picture, cleaned.orientation) if cleaned.orientation in _UPRIGHT else None
            if turned is None:
                _decode(picture)
    return replace(cleaned, parts=(content,)) if turned is None else turned


@contextmanager
def decoding() -> Iterator[None]:
    """Decoders raise what they like on bytes that are made to break them: here it becomes ContentDamaged."""
    try:
        yield
    except ContentDamaged:
        raise
    except Exception:
        raise ContentDamaged(problem="its pixels can't be read") from None


def _decode(picture: Image.Image) -> None:
    if picture.format == "JPEG":
        # All of it is read, an eighth of it is computed: a truncated file is found at a fraction of the cost.
        picture.draft("L", (max(1, picture.width // 8), max(1, picture.height // 8)))
    for frame in ImageSequence.Iterator(picture):
        frame.load()


def _turned(picture: Image.Image, orientation: int) -> Cleaned | None:
    if getattr(picture, "n_frames", 1) > 1:
        _decode(picture)  # players do not turn animations
        return None
    upright = picture.transpose(_UPRIGHT[orientation])
    options: dict[str, object] = {"icc_profile": picture.info.get("icc_profile"), "exif": b""}
    if picture.format == "JPEG":
        options |= {"quality": _QUALITY, "subsampling": _subsampling(picture)}
    elif picture.format == "WEBP":
        options |= {"quality": _QUALITY, "method": 4}
    buffer = io.BytesIO()
    upright.save(buffer, picture.format, **options)
    return Cleaned((buffer.getvalue(),), *upright.size)


def _subsampling(picture: Image.Image) -> int:
    """How finely colours are kept: as before."""
    return max(0, JpegImagePlugin.get_sampling(picture))
