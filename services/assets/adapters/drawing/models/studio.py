"""The picture: what is seen through what, the floor with the model's shadow, the wall behind."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.models.camera import Camera, pointed_at
from services.assets.adapters.drawing.models.lamp import Lamp, hung
from services.assets.adapters.drawing.models.light import KEY, Studio, as_written, linear, shaded
from services.assets.adapters.drawing.models.materials import Floats
from services.assets.adapters.drawing.models.raster import PIXELS_MOST, Corners, Seen, fill
from services.assets.adapters.drawing.models.scene import Scene

_FINER = (2, 1)
"""Pixels are reckoned so many times finer on each side, so that edges come out smooth; if that takes too
long, as they are."""
_LAYERS = 6  # of glass, leaves and hair, one behind the other
_WALL, _CORNERS = (0.925, 0.93, 0.94), (0.74, 0.755, 0.785)  # sRGB
_SHADOW = 0.55  # how dark it is on the floor


def photographed(scene: Scene, size: int) -> Image.Image:
    """A square picture of the scene; raises NothingToDraw if it takes too long, or shows nothing."""
    for finer in _FINER[:-1]:
        with suppress(NothingToDraw):
            return _photographed(scene, size, finer)
    return _photographed(scene, size, _FINER[-1])


def _photographed(scene: Scene, size: int, finer: int) -> Image.Image:
    used = np.zeros(len(scene.points), bool)
    used[scene.faces] = True
    points = scene.points[used]
    camera = pointed_at(points)
    clear = np.array([material.see_through for material in scene.materials])[scene.made_of]
    key = hung(np.array(KEY, np.float32) @ camera.axes, (scene, points, ~clear), size * finer // 2)
    studio = Studio(scene, camera, camera.seen(scene.points, size * finer), key)
    light = _layers(studio, clear, size * finer)
    small = light.reshape(size, finer, size, finer, 4).mean(axis=(1, 3))
    behind = _backdrop(camera, key, float(points[:, 1].min()), size)
    whole = small[..., :3] + behind.reshape(size, size, 3) * (1 - small[..., 3:])
    return Image.fromarray((as_written(whole) * 255 + 0.5).astype(np.uint8))


def _layers(studio: Studio, clear: NDArray[np.bool_], size: int) -> Floats:
    """Colours of all pixels (linear, times alpha): what is see-through in front, then what is not."""
    scene, projected = studio.scene, studio.projected
    cut = np.array([not material.both_sides for material in scene.materials])[scene.made_of]
    solid = Seen.nothing(size)
    fill(solid, Corners.of(projected, scene.faces, np.flatnonzero(~clear), cut))
    light = np.zeros((size * size, 4), np.float32)
    glass = Corners.of(projected, scene.faces, np.flatnonzero(clear), cut)
    reached = np.full(size * size, np.inf, np.float32)
    for _ in range(_LAYERS if len(glass.numbers) else 0):
        layer = Seen(size, Seen.nothing(size).triangle, solid.near.copy())
        fill(layer, glass, reached, PIXELS_MOST // _LAYERS)
        pixels, colours = shaded(studio, layer)
        if not len(pixels) or light[pixels, 3].min() > 0.99:
            break
        _put_behind(light, pixels, colours)
        reached[pixels] = layer.near[pixels]
    _put_behind(light, *shaded(studio, solid))
    return light


def _put_behind(light: Floats, pixels: NDArray[np.intp], colours: Floats) -> None:
    alpha = colours[:, 3:] * (1 - light[pixels, 3:])
    light[pixels, :3] += colours[:, :3] * alpha
    light[pixels, 3:] += alpha


def _backdrop(camera: Camera, key: Lamp, floor: float, size: int) -> Floats:
    """A wall that is brighter in the middle, and on its floor the shadow (size * size x 3)."""
    x, y = (each.ravel() for each in np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size)))
    dark = np.clip((x * x + (y + 0.1) ** 2) / 1.9, 0, 1)[:, None]
    wall = linear(np.array(_WALL)) * (1 - dark) + linear(np.array(_CORNERS)) * dark
    rays = camera.rays(np.stack((x, y), axis=1))
    down = np.minimum(rays[:, 1:2], -1e-6)
    ground = camera.eye + rays * ((floor - camera.eye[1]) / down)
    shadow = np.where(rays[:, 1:2] < -1e-6, key.shadow(ground.astype(np.float32)), 0)
    found: Floats = (wall * (1 - _SHADOW * shadow)).astype(np.float32)
    return found
