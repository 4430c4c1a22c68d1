"""Draw one file: `python -m services.assets.adapters.drawing PARENT CONTENT_TYPE BOX...`.

The file comes on standard input; to standard output goes a picture for each box (the longest side in
pixels), each after its length (4 bytes, big-endian). It ends with `NOTHING` if there is nothing to draw;
whatever else goes wrong ends with another status and the error's name.
"""

from __future__ import annotations

import importlib
import os
import sys

from services.assets.adapters import drawing
from services.assets.adapters.drawing import jail

if __name__ == "__main__":
    os.nice(10)  # whoever waits for an answer goes first; what is loaded takes longer than drawing
    jail.die_with(int(sys.argv[1]))
    try:
        easel = importlib.import_module(f"{drawing.__name__}.easel")
        sys.exit(easel.main(sys.argv[2], [int(box) for box in sys.argv[3:]]))
    except Exception as error:
        sys.exit(type(error).__name__)
