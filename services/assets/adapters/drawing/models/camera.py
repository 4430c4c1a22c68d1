"""Where a model is looked at from: from in front, a little from the right and from above, all of it seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.models.materials import Floats

_ASIDE, _ABOVE, _FLAT_ABOVE = 32.0, 16.0, 36.0  # degrees; what lies flat is looked at from higher
_WIDE = 3.7  # distance of a screen of which one half has the width 1: a lens of some 30 degrees
_FILLED = 0.84
"""How much of the picture the model takes, in its longer direction."""


@dataclass(frozen=True)
class Camera:
    """It looks at `centre` from a distance; the rows of `axes` are right, up and towards who looks."""

    axes: Floats
    centre: Floats
    distance: float

    @property
    def eye(self) -> Floats:
        """Where it stands."""
        eye: Floats = self.centre + self.axes[2] * np.float32(self.distance)
        return eye

    def seen(self, points: Floats, size: int) -> tuple[Floats, Floats]:
        """Where points appear (n x 2, in pixels from the upper left), and one over their distances (n)."""
        x, y, near = self.projected(points)
        half = size / 2
        return np.stack((half + x * half, half - y * half), axis=1).astype(np.float32), near

    def rays(self, places: Floats) -> Floats:
        """The directions (n x 3) in which places of the picture are seen, from -1 to 1 across and down."""
        across, up = places[:, :1], -places[:, 1:]
        found: Floats = across * self.axes[0] + up * self.axes[1] - np.float32(_WIDE) * self.axes[2]
        return found

    def projected(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Where points appear, from -1 to 1 across and up, and how near they are."""
        inside = (points - self.centre) @ self.axes.T
        near = 1 / (np.float32(self.distance) - inside[:, 2])
        return inside[:, 0] * near * _WIDE, inside[:, 1] * near * _WIDE, near


def pointed_at(points: Floats) -> Camera:
    """A camera that sees all of the points, as large as they fit."""
    low, high = points.min(axis=0), points.max(axis=0)
    sides = high - low
    reach = float(np.linalg.norm(sides))
    if not np.isfinite(reach) or not 1e-9 < reach < 1e9:
        raise NothingToDraw
    flat = sides[1] < 0.22 * max(sides[0], sides[2])
    axes = _axes(_ASIDE, _FLAT_ABOVE if flat else _ABOVE)
    centre = ((low + high) / 2).astype(np.float32)
    for _ in range(4):  # nearer and to the middle, until nothing changes any more
        camera = Camera(axes, centre, _far_enough(points, axes, centre))
        x, y, _near = camera.projected(points)
        aside = np.array(((x.min() + x.max()) / 2, (y.min() + y.max()) / 2), np.float32)
        centre = centre + (aside * np.float32(camera.distance / _WIDE)) @ axes[:2]
    return Camera(axes, centre, _far_enough(points, axes, centre))


def _axes(aside: float, above: float) -> Floats:
    turn, tilt = np.radians(aside), np.radians(above)
    towards = np.array((np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)))
    right = np.cross((0.0, 1.0, 0.0), towards)
    right /= np.linalg.norm(right)
    return np.stack((right, np.cross(towards, right), towards)).astype(np.float32)


def _far_enough(points: Floats, axes: Floats, centre: Floats) -> float:
    inside = (points - centre) @ axes.T
    return float((inside[:, 2] + np.abs(inside[:, :2]).max(axis=1) * np.float32(_WIDE / _FILLED)).max())
