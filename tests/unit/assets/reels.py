"""Films and sounds that really play, made by FFmpeg's encoders."""

from __future__ import annotations

import io
from collections.abc import Iterable

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RATE = 44_100


def scene(size: tuple[int, int] = (320, 180)) -> Image.Image:
    """Something to see: light and dark all over, red at the upper left."""
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 4, size[1] // 4), fill="red")
    return image


def film(
    frames: Iterable[Image.Image],
    container: str = "mp4",
    *,
    turned: int = 0,
    aspect: int = 1,
    **options: str,
) -> bytes:
    """25 frames a second; `turned` counter-clockwise when shown, pixels `aspect` times as wide as high."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream("libx264" if container == "mp4" else "libvpx", rate=25)
        stream.pix_fmt, stream.options = "yuv420p", {"g": "1000", **options}
        first = True
        for image in frames:
            if first:
                stream.width, stream.height = image.size
                stream.sample_aspect_ratio = aspect
                if turned:
                    stream.set_display_rotation(turned)
                first = False
            out.mux(stream.encode(av.VideoFrame.from_image(image)))
        out.mux(stream.encode())
    return buffer.getvalue()


def sound(
    loud: NDArray[np.float64], container: str = "wav", codec: str = "pcm_s16le", rate: int = RATE
) -> bytes:
    """A tone as loud as `loud` says (from 0 to 1) for each sample."""
    tone = np.sin(2 * np.pi * 440 * np.arange(len(loud)) / rate) * loud
    samples = (tone * 32_000).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = rate
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode())
    return buffer.getvalue()
