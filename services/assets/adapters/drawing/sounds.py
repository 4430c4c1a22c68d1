"""Sound: how loud it is from its beginning to its end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.reels import reel, sounds

MINUTES = 60
"""Of longer sound the first hour is drawn."""
_BLOCK = 128  # samples that become one peak
_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/flac": "flac"}
_SILENCE, _BENT = 1e-4, 0.7  # half as loud is drawn more than half as high, nearer to how it is heard
_SHAPE = 9 / 16
_FINER = 3  # drawn so much larger first, so that edges come out smooth
_BAR, _GAP = 0.62, 0.38  # of the width of a bar and the room behind it
_NIGHT, _DUSK = (24, 20, 48), (46, 34, 86)
_COLOURS = ((74, 208, 226), (150, 138, 255), (255, 128, 170))  # from the beginning to the end

Floats = NDArray[np.floating[Any]]


def draw(content: bytes, content_type: str, boxes: Sequence[int]) -> list[Image.Image]:
    """One for each box, with as many bars as are told apart in it."""
    peaks = _peaks(content, _FORMATS[content_type])
    return [_drawn(peaks, box) for box in boxes]


def _peaks(content: bytes, format_name: str) -> Floats:
    """The loudest of every few samples, over all channels, from 0 to 1."""
    found, heard = [], 0.0
    with reel(content, format_name) as container:
        for frame in sounds(container):
            found.append(loudest(frame))
            heard += frame.samples / frame.sample_rate
            if heard > MINUTES * 60:
                break
    if not found:
        raise NothingToDraw
    return np.concatenate(found)


def loudest(frame: av.AudioFrame) -> Floats:
    """The peaks of one frame."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    scaled: Floats = samples.astype(np.float32)
    if samples.dtype.kind != "f":
        middle, most = (128, 128) if samples.dtype == np.uint8 else (0, 1 << (8 * samples.itemsize - 1))
        scaled = (scaled - middle) / most
    every = np.arange(0, scaled.shape[1], _BLOCK)
    return np.maximum.reduceat(np.nan_to_num(np.abs(scaled)).max(axis=0), every)


def _drawn(peaks: Floats, box: int) -> Image.Image:
    size = box, round(box * _SHAPE)
    heights = bars(peaks, 80 if box > 512 else 36)
    width, height = size[0] * _FINER, size[1] * _FINER
    mask = Image.new("L", (width, height))
    pen, margin = ImageDraw.Draw(mask), width * 0.06
    step = (width - 2 * margin) / len(heights)
    for number, level in enumerate(heights):
        left = margin + (number + _GAP / 2) * step
        half = max(step * _BAR / 2, level * height * 0.36)
        box_of_bar = (left, height / 2 - half, left + step * _BAR, height / 2 + half)
        pen.rounded_rectangle(box_of_bar, radius=step * _BAR / 2, fill=255)
    mask = mask.resize(size, Image.Resampling.LANCZOS)
    sky = _blended(size[::-1], (_NIGHT, _DUSK)).transpose(Image.Transpose.ROTATE_270)
    return Image.composite(_blended(size, _COLOURS), sky, mask)


def bars(peaks: Floats, count: int) -> Floats:
    """So many heights from 0 to 1: quiet sound is drawn as large as loud sound is."""
    edges = np.linspace(0, len(peaks), count + 1).astype(int)
    heights = np.array([peaks[a : max(b, a + 1)].max(initial=0) for a, b in pairwise(edges)], np.float32)
    top = heights.max()
    if top < _SILENCE:
        return heights * 0
    bent: Floats = (heights / top) ** _BENT
    return bent


def _blended(size: tuple[int, int], colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """From one colour to the next, from left to right."""
    strip = Image.new("RGB", (len(colours), 1))
    strip.putdata(colours)
    # Beyond the middles of the outer pixels nothing changes any more, so those are cut in halves.
    return strip.resize(size, Image.Resampling.BILINEAR, box=(0.5, 0, len(colours) - 0.5, 1))
