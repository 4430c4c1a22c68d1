"""What colour a surface has in the light of a studio: a large lamp from the left, a small one, a bright room.

All in linear light. The model of reflection is that of glTF 2.0 (appendix B) with the room in place of an
environment map: enough for plastic, metal and cloth to be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.assets.adapters.drawing.models.camera import Camera
from services.assets.adapters.drawing.models.lamp import Lamp
from services.assets.adapters.drawing.models.materials import Floats, Material
from services.assets.adapters.drawing.models.raster import Seen, shares
from services.assets.adapters.drawing.models.scene import Scene

_AT_ONCE = 1 << 18  # pixels
# From where light comes, seen from the camera (right, up, towards the viewer), and how strong it is.
KEY, _KEY_STRENGTH = (-0.55, 0.66, 0.51), 0.92
_OTHERS = (((0.85, 0.15, 0.4), 0.16), ((0.45, 0.55, -0.7), 0.25))
_SKY, _GROUND = 0.46, 0.20  # how bright the room is above and below
_DIELECTRIC = 0.04
_SHOULDER = 0.76


@dataclass
class _Surface:
    """What is known of some pixels: where (n x 3), how it faces, what it is made of."""

    at: Floats
    normal: Floats
    places: Floats
    colours: Floats


@dataclass(frozen=True)
class Studio:
    """A scene, who looks at it, where its points appear, and the large lamp."""

    scene: Scene
    camera: Camera
    projected: tuple[Floats, Floats]
    key: Lamp


def shaded(studio: Studio, seen: Seen) -> tuple[NDArray[np.intp], Floats]:
    """The pixels in which something is seen, and their colours (n x 4), linear, alpha last."""
    pixels = seen.pixels
    found = np.zeros((len(pixels), 4), np.float32)
    for start in range(0, len(pixels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        numbers = seen.triangle[pixels[part]]
        surface = _surface(studio, pixels[part], numbers, seen.size)
        made_of = studio.scene.made_of[numbers]
        for number in np.flatnonzero(np.bincount(made_of)):
            of_it = np.flatnonzero(made_of == number)
            found[start + of_it] = _colour(studio.scene.materials[number], studio, _chosen(surface, of_it))
    return pixels, found


def _chosen(surface: _Surface, which: NDArray[np.intp]) -> _Surface:
    return _Surface(surface.at[which], surface.normal[which], surface.places[which], surface.colours[which])


def _surface(studio: Studio, pixels: NDArray[np.intp], numbers: NDArray[np.int32], size: int) -> _Surface:
    scene, projected = studio.scene, studio.projected
    places = np.stack((pixels % size, pixels // size), axis=1) + 0.5
    corners = scene.faces[numbers]
    share = shares(projected[0][corners], projected[1][corners], places)[:, :, None]
    points = scene.points[corners]
    at = (points * share).sum(axis=1)
    flat = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normal = (scene.normals[corners] * share).sum(axis=1)
    normal = np.where(np.isfinite(normal).all(axis=1, keepdims=True), normal, flat)
    away = (normal * (studio.camera.eye - at)).sum(axis=1, keepdims=True) < 0
    normal = _unit(np.where(away, -normal, normal))  # both sides of a surface are lit
    return _Surface(
        at, normal, (scene.places[corners] * share).sum(axis=1), (scene.colours[corners] * share).sum(axis=1)
    )


def _colour(material: Material, studio: Studio, surface: _Surface) -> Floats:
    base = material.colour * surface.colours
    if material.picture is not None:
        texel = material.picture.at(surface.places)
        base = base * np.concatenate((linear(texel[:, :3]), texel[:, 3:]), axis=1)
    base = np.clip(base, 0, 1)
    light = base[:, :3] if material.unlit else _lit(material, studio, surface, base[:, :3])
    if material.glow is not None and material.glow.any():
        glow = np.broadcast_to(material.glow, light.shape)
        if material.glowing is not None:
            glow = glow * linear(material.glowing.at(surface.places)[:, :3])
        light = light + glow
    alpha = base[:, 3:]
    if material.mode == "OPAQUE":
        alpha = np.ones_like(alpha)
    elif material.mode == "MASK":
        alpha = (alpha >= material.cutoff).astype(np.float32)
    return np.concatenate((light, alpha), axis=1).astype(np.float32)


def _lit(material: Material, studio: Studio, surface: _Surface, base: Floats) -> Floats:
    metallic, rough = _shine(material, surface)
    normal, towards = surface.normal, _unit(studio.camera.eye - surface.at)
    facing = np.clip((normal * towards).sum(axis=1, keepdims=True), 0, 1)
    mirrored = 2 * facing * normal - towards
    edge = (1 - facing) ** 5 * (1 - rough) ** 2
    mirror = _DIELECTRIC * (1 - metallic) + base * metallic
    mirror = mirror + (1 - mirror) * edge
    reached = studio.key.reaches(surface.at, normal)
    diffuse = _GROUND + (_SKY - _GROUND) * (0.5 + 0.5 * normal[:, 1:2])
    diffuse = diffuse + _KEY_STRENGTH * reached * np.clip(normal @ studio.key.direction, 0, 1)[:, None]
    shine = _room(mirrored, rough) + (0.3 + 0.7 * reached) * _lamp(mirrored, studio.key.direction, rough)
    for direction, strength in _OTHERS:
        lamp = _unit((np.array(direction, np.float32) @ studio.camera.axes)[None])[0]
        diffuse = diffuse + strength * np.clip(normal @ lamp, 0, 1)[:, None]
        shine = shine + strength * _lamp(mirrored, lamp, rough)
    found: Floats = base * (1 - metallic) * diffuse + mirror * shine
    return found


def _room(mirrored: Floats, rough: Floats) -> Floats:
    """What of the room is seen in a mirror (n x 1): a dark floor, a bright ceiling and a horizon."""
    sharp = np.clip((mirrored[:, 1:2] + 0.25 + 0.5 * rough) / (0.9 + rough), 0, 1)
    found: Floats = 0.16 + 0.75 * sharp * sharp * (3 - 2 * sharp)
    return found


def _lamp(mirrored: Floats, lamp: Floats, rough: Floats) -> Floats:
    """What of a lamp, a large disc, is seen in a mirror (n x 1)."""
    at = (mirrored @ lamp)[:, None]
    low, high = 0.90 - 0.75 * rough, 0.94 + 0.06 * rough
    inside = np.clip((at - low) / (high - low), 0, 1)
    return inside * inside * (3 - 2 * inside) * (0.6 + 5 * (1 - rough) ** 2)


def _shine(material: Material, surface: _Surface) -> tuple[Floats, Floats]:
    """How metallic and how rough (n x 1)."""
    told: Floats = np.tile(
        np.array((material.metallic, material.roughness), np.float32), (len(surface.at), 1)
    )
    if material.metal is not None:
        told = told * material.metal.at(surface.places)[:, [2, 1]]
    return np.clip(told[:, :1], 0, 1), np.clip(told[:, 1:], 0.05, 1)


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
    return found


def linear(colours: Floats) -> Floats:
    """sRGB as light (IEC 61966-2-1), both from 0 to 1."""
    found: Floats = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return found


def as_written(light: Floats) -> Floats:
    """Light as sRGB; what is too bright for a screen comes down softly, colours keep their tone."""
    soft = np.where(
        light > _SHOULDER, 1 - (1 - _SHOULDER) * np.exp((_SHOULDER - light) / (1 - _SHOULDER)), light
    )
    soft = np.clip(soft, 0, 1)
    found: Floats = np.where(soft <= 0.0031308, soft * 12.92, 1.055 * soft ** (1 / 2.4) - 0.055)
    return found
