"""Draw one file: `python -m services.assets.adapters.drawing CONTENT_TYPE PARENT`.

The file comes on standard input, the pictures go to standard output, the larger one first, each after
its length (4 bytes, big-endian). Nothing came and it ended with `NOTHING`: there is nothing to draw.
"""

from __future__ import annotations

import importlib
import struct
import sys

from services.assets.adapters.drawing import NOTHING, jail
from services.assets.adapters.drawing.canvas import BOXES, NothingToDraw, encoded
from services.assets.adapters.drawing.pictures import rehearse

MODULES = {
    "image": "pictures",
    "video": "films",
    "audio": "sounds",
    "model": "models",
    "text": "pages",
}


def main(content_type: str, parent: str) -> int:
    """Answers the status to end with; whatever else goes wrong ends with another and the error's name."""
    jail.die_with(int(parent))
    module = importlib.import_module(
        f"services.assets.adapters.drawing.{MODULES[content_type.partition('/')[0]]}"
    )
    rehearse()
    jail.enter()
    content = sys.stdin.buffer.read()
    try:
        drawn = [encoded(image) for image in module.draw(content, content_type, BOXES)]
    except NothingToDraw:
        return NOTHING
    for picture in drawn:
        sys.stdout.buffer.write(struct.pack(">I", len(picture)) + picture)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}")
