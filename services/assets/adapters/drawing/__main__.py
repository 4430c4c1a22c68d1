"""Draw one file: `python -m services.assets.adapters.drawing PARENT CONTENT_TYPE BOX...`.

The file comes on standard input; to standard output goes a picture for each box (the longest side in
pixels), each after its length (4 bytes, big-endian). It ends with `NOTHING` if there is nothing to draw.
"""

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


def main(parent: int, content_type: str, boxes: Sequence[int]) -> int:
    """Answers the status to end with; whatever else goes wrong ends with another and the error's name."""
    jail.die_with(parent)
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


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]), sys.argv[2], [int(box) for box in sys.argv[3:]]))
    except Exception as error:
        sys.exit(type(error).__name__)
