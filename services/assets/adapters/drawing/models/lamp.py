"""The large lamp: what it reaches, and what is in the shadow of something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from services.assets.adapters.drawing.models.materials import Floats
from services.assets.adapters.drawing.models.raster import NOBODY, Corners, Seen, fill
from services.assets.adapters.drawing.models.scene import Scene

_MARGIN = 0.06  # of its view: around the model, so that shadows have room to end
_SOFT = 0.014  # of its view: how far the edge of a shadow on the floor is blurred
_RAISED = 0.006  # of its view: a surface does not throw shadows on itself
_TAPS = (-1.3, 0.0, 1.3)  # pixels


@dataclass(frozen=True)
class Lamp:
    """`axes` (rows): the last is where it hangs, infinitely far, the others go across what it sees.

    `view` is how it sees what is solid, `cast` how dark its shadow is on whatever is behind.
    """

    axes: Floats
    middle: Floats
    span: float
    view: Seen
    cast: NDArray[np.float32]

    @property
    def direction(self) -> Floats:
        """To the lamp, of length one."""
        direction: Floats = self.axes[2]
        return direction

    def reaches(self, points: Floats, normals: Floats) -> Floats:
        """The share of its light that comes to points of surfaces (n x 1)."""
        at, near = self.seen(points + normals * np.float32(_RAISED * self.span))
        lit, size = np.zeros(len(points), np.float32), self.view.size
        for x in _TAPS:
            for y in _TAPS:
                column, row = np.clip(at + np.array((x, y), np.float32), 0, size - 1).astype(np.intp).T
                lit += self.view.near[row * size + column] <= near
        return (lit / len(_TAPS) ** 2)[:, None]

    def shadow(self, ground: Floats) -> Floats:
        """How much of its light points of the floor lack (n x 1)."""
        at, _ = self.seen(ground)
        inside = ((at >= 0) & (at < self.view.size)).all(axis=1)
        column, row = np.clip(at, 0, self.view.size - 1).astype(np.intp).T
        return np.where(inside, self.cast[row, column], 0)[:, None].astype(np.float32)

    def seen(self, points: Floats) -> tuple[Floats, Floats]:
        """Where it sees points (n x 2, in pixels) and how near to it they are."""
        inside = (points - self.middle) @ self.axes.T / np.float32(self.span)
        return (inside[:, :2] + np.float32(0.5)) * np.float32(self.view.size), inside[:, 2] + np.float32(2)


def hung(direction: Floats, what: tuple[Scene, Floats, NDArray[np.bool_]], size: int) -> Lamp:
    """A lamp that shines on a scene with these points, of whose triangles these are solid."""
    scene, points, solid = what
    axes = _axes(direction / np.linalg.norm(direction))
    inside = points @ axes.T
    low, high = inside.min(axis=0), inside.max(axis=0)
    span = float((high - low).max()) * (1 + 2 * _MARGIN)
    lamp = Lamp(axes, (low + high) / 2 @ axes, span, Seen.nothing(size), np.zeros((size, size), np.float32))
    projected, uncut = lamp.seen(scene.points), np.zeros(len(scene.faces), bool)
    fill(lamp.view, Corners.of(projected, scene.faces, np.flatnonzero(solid), uncut))
    whole = Seen(size, lamp.view.triangle.copy(), lamp.view.near.copy())
    fill(whole, Corners.of(projected, scene.faces, np.flatnonzero(~solid), uncut))
    mask = Image.fromarray(((whole.triangle != NOBODY) * 255).astype(np.uint8).reshape(size, size))
    lamp.cast[:] = np.asarray(mask.filter(ImageFilter.GaussianBlur(size * _SOFT)), np.float32) / 255
    return lamp


def _axes(direction: Floats) -> Floats:
    side = np.cross(direction, (0.0, 0.0, 1.0) if abs(direction[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    return np.stack((side, np.cross(direction, side), direction)).astype(np.float32)
