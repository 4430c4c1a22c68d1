"""Moving pictures: the frame of the first seconds that shows most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from services.assets.adapters.drawing.canvas import NothingToDraw, fitted
from services.assets.adapters.drawing.reels import pictures, reel

SECONDS = 10.0
"""How far is looked."""
STEP = 0.25  # seconds between frames that are looked at one by one
TELLING = 5.0
"""Bits of information in the brightness of a frame: black, white and fog have 0 to 3, scenes 6 to 7."""
_UNSAID, _HD = 2, 720  # films of this height that do not say what their colours mean have those of television
_FORMATS = {"video/mp4": "mov", "video/webm": "matroska"}


def draw(content: bytes, content_type: str, boxes: Sequence[int]) -> list[Image.Image]:
    """One for each box."""
    shown = _telling(content, _FORMATS[content_type], max(boxes))
    return [fitted(shown, box) for box in boxes]


def _telling(content: bytes, format_name: str, box: int) -> Image.Image:
    """Of the frames that stand alone, the best; if none of them shows anything, of all frames."""
    best: tuple[float, Image.Image] | None = None
    for alone in (True, False):
        for image in _frames(content, format_name, box, alone=alone):
            score = information(image)
            if best is None or score > best[0]:
                best = score, image
        if best is not None and best[0] >= TELLING:
            break
    if best is None:
        raise NothingToDraw
    return best[1]


def information(image: Image.Image) -> float:
    """The entropy of its brightness, in bits; a frame of one colour has 0, noise 7."""
    shares = np.bincount(np.asarray(image.convert("L").resize((64, 64))).ravel() // 2, minlength=128) / 4096
    return float(-np.sum(shares * np.log2(shares, where=shares > 0, out=np.zeros(128))))


def _frames(content: bytes, format_name: str, box: int, *, alone: bool) -> Iterator[Image.Image]:
    """Frames of the first seconds, a few of each, upright, no larger than the box."""
    with reel(content, format_name) as container:
        aspect = next((stream.sample_aspect_ratio for stream in container.streams.video), None)
        start = due = None
        for frame in pictures(container, alone=alone):
            time = frame.time or 0.0
            start = time if start is None else start
            if time - start > SECONDS:
                return
            if due is None or time >= due:
                due = time + STEP
                yield _picture(frame, aspect, box)


def _picture(frame: av.VideoFrame, aspect: Fraction | None, box: int) -> Image.Image:
    """In the shape in which it is shown, turned as the camera was held."""
    width, height = frame.width * float(aspect or 1), float(frame.height)
    scale = min(1.0, box / max(width, height))
    unsaid_hd = frame.colorspace == _UNSAID and frame.height >= _HD
    scaled = frame.reformat(
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        format="rgb24",
        interpolation="AREA",
        threads=1,
        src_colorspace="ITU709" if unsaid_hd else None,
    )
    image = Image.fromarray(scaled.to_ndarray())
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
