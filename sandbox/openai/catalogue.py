"""The image models that exist, what each accepts, and when it is shut down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sandbox.openai import errors

STANDARD_SIZES = ["1024x1024", "1024x1536", "1536x1024"]
# For models with free sizes: pixels, the longer edge, its ratio to the shorter, the grid.
FEWEST_PIXELS, MOST_PIXELS, LONGEST_EDGE, STEEPEST, GRID = 655_360, 8_294_400, 3840, 3, 16
# Output tokens of a 1024 x 1024 picture; others in proportion to their pixels.
TOKENS = {"low": 272, "medium": 1056, "high": 4160, "xhigh": 6240, "max": 8320}


@dataclass(frozen=True)
class Model:
    """One row of GET /v1/models and the values that its images endpoints accept."""

    id: str
    created: int
    shutdown: date | None = None
    free_sizes: bool = True
    qualities: tuple[str, ...] = ("low", "medium", "high")

    def listed(self) -> dict[str, Any]:
        """As GET /v1/models shows it; it shows no price."""
        shutdown = self.shutdown.isoformat() if self.shutdown else None
        owner = {"object": "model", "owned_by": "system"}
        return {"id": self.id, "created": self.created, **owner, "shutdown_date": shutdown}


_WIDE = ("low", "medium", "high", "xhigh", "max")
_LAST_DAY_OF_1 = date(2026, 12, 1)
MODELS = [
    Model("gpt-image-1", 1_745_517_030, date(2026, 10, 23), free_sizes=False),
    Model("gpt-image-1-mini", 1_758_845_821, _LAST_DAY_OF_1, free_sizes=False),
    Model("gpt-image-1.5", 1_764_030_620, _LAST_DAY_OF_1, free_sizes=False),
    Model("chatgpt-image-latest", 1_765_925_279, _LAST_DAY_OF_1, free_sizes=False),
    Model("gpt-image-2", 1_776_729_600),
    Model("gpt-image-2-2026-04-21", 1_776_729_600),
    Model("gpt-image-2.5-flare", 1_788_825_600, qualities=_WIDE),
    Model("gpt-image-2.5-flare-2026-09-08", 1_788_825_600, qualities=_WIDE),
    Model("gpt-image-2.5-sunburst", 1_788_825_600, qualities=_WIDE),
    Model("gpt-image-2.5-sunburst-2026-09-08", 1_788_825_600, qualities=_WIDE),
    Model("gpt-image-2.6-flare", 1_793_491_200, qualities=_WIDE),
    Model("gpt-image-2.6-sunburst", 1_793_491_200, qualities=_WIDE),
]


def available(today: date) -> list[Model]:
    """The models that still answer on `today`."""
    return [m for m in MODELS if m.shutdown is None or today < m.shutdown]


def find(name: str, today: date) -> Model:
    """The model of that name. Raises ApiError 404 when it is unknown or shut down."""
    for model in available(today):
        if model.id == name:
            return model
    raise errors.no_such_model(name)


def parse_size(model: Model, text: str) -> tuple[int, int]:
    """Width and height in pixels; "auto" is 1024 x 1024. Raises ApiError when the model has no such size."""
    if text == "auto":
        return 1024, 1024
    width, _, height = text.partition("x")
    if text in STANDARD_SIZES:
        return int(width), int(height)
    if not (model.free_sizes and width.isdecimal() and height.isdecimal() and len(text) <= 9):
        raise errors.invalid_value("size", text, [*STANDARD_SIZES, "auto"])
    size = int(width), int(height)
    if not _fits(size):
        raise errors.ApiError(
            400,
            f"Invalid size '{text}': width and height must be divisible by {GRID}, the longer edge at most "
            f"{LONGEST_EDGE}, the aspect ratio at most {STEEPEST}:1, and the total pixels between "
            f"{FEWEST_PIXELS} and {MOST_PIXELS}.",
            code="invalid_value",
            param="size",
        )
    return size


def _fits(size: tuple[int, int]) -> bool:
    short, long = sorted(size)
    on_grid = short > 0 and short % GRID == 0 and long % GRID == 0
    return (
        on_grid
        and long <= LONGEST_EDGE
        and long <= STEEPEST * short
        and FEWEST_PIXELS <= short * long <= MOST_PIXELS
    )


def output_tokens(quality: str, size: tuple[int, int]) -> int:
    """What one picture costs in tokens."""
    return round(TOKENS[quality] * size[0] * size[1] / (1024 * 1024))


def input_tokens(size: tuple[int, int]) -> int:
    """What one given picture costs in tokens: 65, and 129 for each 512-pixel tile.

    The shorter side is scaled to 512 pixels first.
    """
    scale = 512 / min(size)
    tiles = -(-round(size[0] * scale) // 512) * -(-round(size[1] * scale) // 512)
    return 65 + 129 * tiles
