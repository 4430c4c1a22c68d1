"""What is left of a file when everything is gone that it is not made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.assets.domain.media.exif import UPRIGHT
from services.assets.domain.refusals import PictureTooLarge

PIXELS_MOST = 64 * 1024 * 1024
"""Of one picture. Decoded they take four bytes each."""
FRAME_PIXELS_MOST = 4 * PIXELS_MOST
"""Of all the frames of an animation."""

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The bytes that stay, in parts, in order; width and height in pixels of what has them.

    `orientation` is what the dropped EXIF said (1 is upright); `decoded` whether every pixel was
    already looked at.
    """

    parts: Sequence[Bytes]
    width: int | None = None
    height: int | None = None
    orientation: int = UPRIGHT
    decoded: bool = True

    @property
    def content(self) -> bytes:
        """The bytes that stay."""
        return b"".join(self.parts)


def bounded(width: int, height: int, frames: int = 1) -> None:
    """Raise PictureTooLarge for a decompression bomb, before anything is decoded."""
    if width * height > PIXELS_MOST:
        raise PictureTooLarge(pixels=width * height, limit=PIXELS_MOST)
    if width * height * frames > FRAME_PIXELS_MOST:
        raise PictureTooLarge(pixels=width * height * frames, limit=FRAME_PIXELS_MOST)
