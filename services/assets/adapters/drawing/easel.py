"""Draw one file in a process that is for nothing else."""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Sequence

from PIL import Image

from services.assets.adapters.drawing import NOTHING, jail
from services.assets.adapters.drawing.canvas import NothingToDraw, encoded
from services.assets.adapters.drawing.pictures import rehearse

MODULES = {
    "image": "pictures",
    "video": "films",
    "audio": "sounds",
    "model": "models",
    "text": "pages",
}


def main(content_type: str, boxes: Sequence[int]) -> int:
    """From standard input to standard output; answers the status to end with."""
    module = importlib.import_module(
        f"services.assets.adapters.drawing.{MODULES[content_type.partition('/')[0]]}"
    )
    # How many pixels a file may have was decided when it came into the library; here memory is bounded.
    Image.MAX_IMAGE_PIXELS = None
    rehearse()
    jail.enter()
    content = sys.stdin.buffer.read()
    try:
        drawn = [encoded(image) for image in module.draw(content, content_type, boxes)]
    except NothingToDraw:
        return NOTHING
    for picture in drawn:
        sys.stdout.buffer.write(struct.pack(">I", len(picture)) + picture)
    sys.stdout.buffer.flush()
    return 0
