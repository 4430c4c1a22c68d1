"""Two pictures for whoever brings none: real ones from shared/data if they are there, else drawn and kept."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from PIL import Image, ImageFilter
from PIL.TiffImagePlugin import IFDRational

from deploy.local.settings import ROOT, LauncherSettings
from deploy.local.state import StateFolder
from sandbox.pictures import draw

MAKE, MODEL, ARTIST, GPS = 0x010F, 0x0110, 0x013B, 0x8825
GRAIN = 0.07


def photo() -> Path:
    """A photo of 512 x 512, a JPEG whose EXIF names a camera, an author and a place."""
    return _kept("astronaut-with-gps.jpg", "lighthouse-with-gps.jpg", _photo)


def plain() -> Path:
    """A picture of 600 x 400, a PNG that says nothing but its pixels."""
    return _kept("coffee.png", "harbour.png", _plain)


def _kept(real: str, name: str, make: Callable[[], bytes]) -> Path:
    found = Path(os.environ.get("CRAFIQ_TEST_DATA", ROOT.parent / "shared" / "data")) / real
    if found.is_file():
        return found
    drawn = StateFolder(LauncherSettings().state).folder("examples") / name
    if not drawn.exists():
        scratch = drawn.with_name(f".{os.getpid()}.{name}")
        scratch.write_bytes(make())
        scratch.replace(drawn)
    return drawn


def _picture(words: str, size: tuple[int, int]) -> Image.Image:
    """As a lens and a sensor would have it: a little soft, with grain."""
    drawn = draw(words, 0, size).filter(ImageFilter.GaussianBlur(0.7))
    noise = Random(words).randbytes(3 * size[0] * size[1])  # noqa: S311  # grain, the same each time
    return Image.blend(drawn, Image.frombytes("RGB", size, noise), GRAIN)


def _photo() -> bytes:
    tags = Image.Exif()
    tags.endian = ">"
    tags[MAKE], tags[MODEL], tags[ARTIST] = "Nobody", "Test camera", "CANARY-AUTHOR"
    north, east = ((48, 51, IFDRational(148, 5)), (2, 17, IFDRational(201, 5)))
    tags.get_ifd(GPS).update({1: "N", 2: north, 3: "E", 4: east})
    out = io.BytesIO()
    _picture("A lighthouse at noon", (512, 512)).save(out, "JPEG", quality=90, exif=tags.tobytes())
    return out.getvalue()


def _plain() -> bytes:
    out = io.BytesIO()
    _picture("A harbour in the evening", (600, 400)).save(out, "PNG")
    return out.getvalue()
