"""Which triangle is seen in which pixel: a depth buffer, filled for many triangles at a time.

Triangles of about the same size are laid over grids of the same size, and all pixels of all grids are
tried at once; so a model of a million triangles takes seconds without a line of C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.models.materials import Floats
from services.assets.adapters.drawing.models.scene import Faces

PIXELS_MOST = 500_000_000
"""Of the grids of all triangles together, which take some 25 ns each."""
_AT_ONCE = 1 << 21  # pixels of grids
_EXACT = 64  # grids with longer sides are reckoned with twice as many digits
_KINDS = 64
NOBODY = -1


@dataclass
class Seen:
    """For each pixel (size * size, row by row) the triangle that is seen and how near it is (0: nothing)."""

    size: int
    triangle: NDArray[np.int32]
    near: Floats

    @classmethod
    def nothing(cls, size: int) -> Seen:
        """An empty picture."""
        return cls(size, np.full(size * size, NOBODY, np.int32), np.zeros(size * size, np.float32))

    @property
    def pixels(self) -> NDArray[np.intp]:
        """Where anything is seen."""
        return np.flatnonzero(self.triangle != NOBODY)


@dataclass(frozen=True)
class Corners:
    """Triangles as they appear: corners in pixels (t x 3 x 2), how near those are (t x 3), their numbers."""

    places: Floats
    near: Floats
    numbers: NDArray[np.intp]

    @classmethod
    def of(
        cls, seen: tuple[Floats, Floats], faces: Faces, numbers: NDArray[np.intp], cut: NDArray[np.bool_]
    ) -> Corners:
        """Of the triangles with these numbers those that show their front, or have two (`cut` is not set)."""
        places, near = seen[0][faces[numbers]], seen[1][faces[numbers]]
        area = _area(places)
        shown = np.isfinite(area) & (np.abs(area) > 1e-9) & ~(cut[numbers] & (area > 0))
        return cls(places[shown], near[shown], numbers[shown])


def _area(places: Floats) -> Floats:
    """Twice the area, negative if the corners go round against the clock (as seen, y down)."""
    one, other = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
    found: Floats = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return found


def fill(into: Seen, corners: Corners, behind: Floats | None = None, most: int = PIXELS_MOST) -> None:
    """See these triangles too, where they are nearer than what is seen; `behind`: and farther than this.

    Raises NothingToDraw if that takes too long: `most` are the pixels of all grids.
    """
    for pixels, near, numbers in _covered(corners, into.size, most):
        if behind is None:
            _see(into, pixels, near, numbers)
        else:
            deeper = near < behind[pixels] * np.float32(1 - 1e-5)
            _see(into, pixels[deeper], near[deeper], numbers[deeper])


def _see(into: Seen, pixels: NDArray[np.intp], near: Floats, numbers: NDArray[np.intp]) -> None:
    np.maximum.at(into.near, pixels, near)
    nearest = near == into.near[pixels]
    into.triangle[pixels[nearest]] = numbers[nearest]


def _covered(
    corners: Corners, size: int, most: int
) -> Iterator[tuple[NDArray[np.intp], Floats, NDArray[np.intp]]]:
    """Pixels that triangles cover, how near they are there, and the triangles' numbers: many at a time."""
    low = np.clip(np.ceil(corners.places.min(axis=1) - 0.5), 0, size).astype(np.int32)
    high = np.clip(np.floor(corners.places.max(axis=1) - 0.5), -1, size - 1).astype(np.int32)
    sides = high - low + 1
    some = np.flatnonzero((sides > 0).all(axis=1))
    powers = np.ceil(np.log2(sides[some])).astype(np.int64)  # grids have sides of 1, 2, 4, 8 and so on
    if (1 << powers.sum(axis=1)).sum() > most:
        raise NothingToDraw
    kinds = powers[:, 0] * _KINDS + powers[:, 1]
    for kind in np.flatnonzero(np.bincount(kinds)):
        grid = 1 << int(kind) // _KINDS, 1 << int(kind) % _KINDS
        chosen = some[kinds == kind]
        for part in np.array_split(chosen, -(-len(chosen) * grid[0] * grid[1] // _AT_ONCE)):
            yield _laid(corners, part, (low[part], sides[part]), grid, size)


def _laid(
    corners: Corners,
    part: NDArray[np.intp],
    boxes: tuple[NDArray[np.int32], NDArray[np.int32]],
    grid: tuple[int, int],
    size: int,
) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """The pixels of these triangles, which all fit into grids of this width and height."""
    low, sides = boxes
    exact = np.float64 if max(grid) > _EXACT else np.float32
    x, y = np.arange(grid[0]), np.arange(grid[1])
    at = (corners.places[part] - (low[:, None] + np.float32(0.5))).astype(exact)
    shares = []
    for corner in range(3):
        (ax, ay), (bx, by) = at[:, corner - 2].T, at[:, corner - 1].T
        run, rise = (bx - ax)[:, None, None], (by - ay)[:, None, None]
        shares.append(run * (y[:, None] - ay[:, None, None]) - rise * (x - ax[:, None, None]))
    turned = np.sign(shares[0] + shares[1] + shares[2])
    inside = (x < sides[:, :1, None]) & (y[:, None] < sides[:, 1:, None]) & (turned != 0)
    for share in shares:
        inside &= share * turned >= 0
    which, row, column = np.nonzero(inside)
    found = np.stack([share[which, row, column] for share in shares], axis=1)
    near = (found * corners.near[part][which]).sum(axis=1) / found.sum(axis=1)
    pixels = (low[which, 1] + row) * size + low[which, 0] + column
    return pixels.astype(np.intp), near.astype(np.float32), corners.numbers[part][which]


def shares(corners: Floats, near: Floats, places: Floats) -> Floats:
    """How much each corner of a triangle counts at a place of it (n x 3), as it is in space."""
    at = corners.astype(np.float64) - places[:, None]
    found = np.stack(
        [at[:, a, 0] * at[:, b, 1] - at[:, a, 1] * at[:, b, 0] for a, b in ((1, 2), (2, 0), (0, 1))],
        axis=1,
    )
    found = found * near
    whole: Floats = found / found.sum(axis=1, keepdims=True)
    return whole.astype(np.float32)
