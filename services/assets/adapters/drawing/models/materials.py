"""What surfaces are made of: colours, pictures on them, how they shine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.assets.adapters.drawing.canvas import fitted
from services.assets.adapters.drawing.models.document import Document, Json
from services.assets.adapters.drawing.pictures import opened

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

SIDE_MOST = 2048
"""Pictures on surfaces are made smaller than this: the poster has half as many pixels."""
TEXELS_MOST = 16 * SIDE_MOST * SIDE_MOST
"""Of all pictures of a model; what comes after is left out."""
_REPEAT, _CLAMP, _MIRROR = 10497, 33071, 33648


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture on a surface, RGBA; how it goes on beside itself; how its place is changed (2 x 3)."""

    texels: Bytes
    wrap: tuple[int, int]
    placed: Floats

    def at(self, places: Floats) -> Floats:
        """The colours at places (n, 2), between texels, from 0 to 1: (n, 4), as they are written."""
        moved = places @ self.placed[:, :2].T + self.placed[:, 2]
        height, width = self.texels.shape[:2]
        x, y = moved[:, 0] * width - 0.5, moved[:, 1] * height - 0.5
        x, y = (np.nan_to_num(np.clip(each, -1e6, 1e6)) for each in (x, y))
        left, top = np.floor(x), np.floor(y)
        right_share, low_share = (x - left)[:, None], (y - top)[:, None]
        columns = [_wrapped(left + step, width, self.wrap[0]) for step in (0, 1)]
        rows = [_wrapped(top + step, height, self.wrap[1]) for step in (0, 1)]
        upper, lower = (
            self.texels[row, columns[0]] * (1 - right_share) + self.texels[row, columns[1]] * right_share
            for row in rows
        )
        found: Floats = ((upper * (1 - low_share) + lower * low_share) / 255).astype(np.float32)
        return found


def _wrapped(at: Floats, size: int, how: int) -> NDArray[np.intp]:
    number = at.astype(np.intp)
    if how == _CLAMP:
        return np.clip(number, 0, size - 1)
    if how == _MIRROR:
        number = number % (2 * size)
        return np.where(number < size, number, 2 * size - 1 - number)
    return number % size


@dataclass(frozen=True, eq=False)
class Material:
    """As glTF's metallic-roughness model has it. Colours of factors are linear, those of textures sRGB."""

    colour: Floats
    picture: Texture | None = None
    metallic: float = 1.0
    roughness: float = 1.0
    metal: Texture | None = None
    glow: Floats | None = None
    glowing: Texture | None = None
    unlit: bool = False
    mode: str = "OPAQUE"
    cutoff: float = 0.5
    both_sides: bool = True
    set_of_places: int = 0

    @property
    def see_through(self) -> bool:
        """Whether something behind it may be seen."""
        return self.mode != "OPAQUE"


PLAIN = Material(np.array((0.8, 0.8, 0.8, 1), np.float32), metallic=0.0, roughness=0.7)


class Materials:
    """The materials of a document, each read once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._pictures: dict[int, Bytes | None] = {}
        self._texels = 0
        self._read = [self._material(each) for each in document.items("materials")]

    def of(self, primitive: Json) -> Material:
        """What a primitive is made of."""
        return self._read[primitive["material"]] if "material" in primitive else PLAIN

    def _material(self, said: Json) -> Material:
        extensions = said.get("extensions", {})
        body = said.get("pbrMetallicRoughness", {})
        old = extensions.get("KHR_materials_pbrSpecularGlossiness")
        if old:
            body = {
                "baseColorFactor": old.get("diffuseFactor", [1, 1, 1, 1]),
                "baseColorTexture": old.get("diffuseTexture"),
                "metallicFactor": 0,
                "roughnessFactor": 1 - float(old.get("glossinessFactor", 1)) / 2,
            }
        picture = body.get("baseColorTexture")
        return Material(
            colour=_numbers(body.get("baseColorFactor", (1, 1, 1, 1)), 4),
            picture=self._texture(picture),
            metallic=float(body.get("metallicFactor", 1)),
            roughness=float(body.get("roughnessFactor", 1)),
            metal=self._texture(body.get("metallicRoughnessTexture")),
            glow=_numbers(said.get("emissiveFactor", (0, 0, 0)), 3),
            glowing=self._texture(said.get("emissiveTexture")),
            unlit="KHR_materials_unlit" in extensions,
            mode=str(said.get("alphaMode", "OPAQUE")),
            cutoff=float(said.get("alphaCutoff", 0.5)),
            both_sides=bool(said.get("doubleSided", False)),
            set_of_places=int((picture or {}).get("texCoord", 0)),
        )

    def _texture(self, said: Json | None) -> Texture | None:
        if not said:
            return None
        texture = self._document.items("textures")[said["index"]]
        webp = texture.get("extensions", {}).get("EXT_texture_webp", {})
        source = texture.get("source", webp.get("source"))
        texels = None if source is None else self._texels_of(source)
        if texels is None:
            return None
        sampler: Json = {}
        if "sampler" in texture:
            sampler = self._document.items("samplers")[texture["sampler"]]
        wrap = sampler.get("wrapS", _REPEAT), sampler.get("wrapT", _REPEAT)
        return Texture(texels, wrap, _placed(said.get("extensions", {}).get("KHR_texture_transform", {})))

    def _texels_of(self, source: int) -> Bytes | None:
        """A picture's texels; None if it is of a kind that is not read, or if there are too many already."""
        if source not in self._pictures:
            content = bytes(self._document.view(self._document.items("images")[source]["bufferView"]))
            self._pictures[source] = self._decoded(content)
        return self._pictures[source]

    def _decoded(self, content: bytes) -> Bytes | None:
        try:
            image = opened(content, "JPEG", "PNG", "WEBP")
        except OSError:
            return None  # compressed for graphics cards
        with image:
            image.draft("RGB", (SIDE_MOST, SIDE_MOST))
            texels = np.asarray(fitted(image.convert("RGBA"), SIDE_MOST))
        self._texels += texels.shape[0] * texels.shape[1]
        return texels if self._texels <= TEXELS_MOST else None


def _placed(said: Json) -> Floats:
    """KHR_texture_transform as a matrix (2 x 3)."""
    (x, y), (wide, high) = _numbers(said.get("offset", (0, 0)), 2), _numbers(said.get("scale", (1, 1)), 2)
    turn = float(said.get("rotation", 0))
    sine, cosine = np.sin(turn), np.cos(turn)
    return np.array(((cosine * wide, sine * high, x), (-sine * wide, cosine * high, y)), np.float32)


def _numbers(said: Any, count: int) -> Floats:
    found = np.array(said, np.float32)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError("not so many numbers")
    return found
