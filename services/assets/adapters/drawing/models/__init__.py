"""A 3D model as a picture: read (`document`, `materials`), put together (`scene`), seen (`camera`, `raster`),
lit (`light`) and set before a wall (`studio`)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from services.assets.adapters.drawing.canvas import fitted
from services.assets.adapters.drawing.models.scene import assembled
from services.assets.adapters.drawing.models.studio import photographed


def draw(content: bytes, _content_type: str, boxes: Sequence[int]) -> list[Image.Image]:
    """One for each box: a model has no size of its own, so all are filled."""
    image = photographed(assembled(content), max(boxes))
    return [fitted(image, box) for box in boxes]
