"""A model put together: every triangle of it where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.models.document import Array, Document, Json
from services.assets.adapters.drawing.models.materials import Floats, Material, Materials

Faces = NDArray[np.int32]
TRIANGLES_MOST = 1_500_000
POINTS_MOST = 3_000_000
NODES_MOST = 100_000
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


@dataclass
class Scene:
    """Points (n) and the triangles between them (t), in the world: y is up, z comes towards who looks.

    `normals` are NaN where a file has none, `places` are where on its picture a point lies, `colours`
    are RGBA. `made_of` is the number of a triangle's material.
    """

    points: Floats
    normals: Floats
    places: Floats
    colours: Floats
    faces: Faces
    made_of: NDArray[np.int32]
    materials: list[Material]


@dataclass
class _Parts:
    points: list[Floats] = field(default_factory=list)
    normals: list[Floats] = field(default_factory=list)
    places: list[Floats] = field(default_factory=list)
    colours: list[Floats] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)
    made_of: list[NDArray[np.int32]] = field(default_factory=list)
    materials: dict[int, tuple[int, Material]] = field(default_factory=dict)
    count: int = 0
    triangles: int = 0


def assembled(content: bytes) -> Scene:
    """The scene of a file; raises NothingToDraw if it shows no surface, or more than is drawn."""
    document = Document(content)
    materials, worlds = Materials(document), _worlds(document)
    parts = _Parts()
    for number, world in worlds.items():
        node = document.items("nodes")[number]
        if "mesh" in node:
            bones = _bones(document, node, worlds)
            for primitive in document.items("meshes")[node["mesh"]]["primitives"]:
                _add(parts, document, primitive, materials.of(primitive), (world, bones))
    if not parts.triangles:
        raise NothingToDraw
    return Scene(
        points=np.concatenate(parts.points),
        normals=np.concatenate(parts.normals),
        places=np.concatenate(parts.places),
        colours=np.concatenate(parts.colours),
        faces=np.concatenate(parts.faces),
        made_of=np.concatenate(parts.made_of),
        materials=[material for _, material in parts.materials.values()],
    )


def _worlds(document: Document) -> dict[int, Array]:
    """Where each node of the scene shown stands (4 x 4), by its number."""
    nodes = document.items("nodes")
    scenes = document.items("scenes")
    roots = scenes[document.json.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
    found: dict[int, Array] = {}
    todo = [(number, np.eye(4)) for number in roots]
    while todo:
        number, above = todo.pop()
        if number in found or len(found) > NODES_MOST:
            continue  # a node has one parent; a circle is none
        world = above @ _stands(nodes[number])
        found[number] = world
        todo += [(child, world) for child in nodes[number].get("children", [])]
    return found


def _stands(node: Json) -> Array:
    """A node's own transformation (4 x 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = (float(each) for each in node.get("rotation", (0, 0, 0, 1)))
    turned = np.array([
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ])  # fmt: skip
    found = np.eye(4)
    found[:3, :3] = turned * np.array(node.get("scale", (1, 1, 1)), float)
    found[:3, 3] = np.array(node.get("translation", (0, 0, 0)), float)
    return found


def _bones(document: Document, node: Json, worlds: Mapping[int, Array]) -> Array | None:
    """What each bone of a node's skin does to the points that hang on it (n x 4 x 4)."""
    if "skin" not in node:
        return None
    skin = document.items("skins")[node["skin"]]
    joints = np.array([worlds.get(number, np.eye(4)) for number in skin["joints"]])
    if "inverseBindMatrices" not in skin:
        return joints
    bound = document.numbers(skin["inverseBindMatrices"])[: len(joints)]
    return joints @ bound.reshape(-1, 4, 4).transpose(0, 2, 1)


def _add(
    parts: _Parts,
    document: Document,
    primitive: Json,
    material: Material,
    stands: tuple[Array, Array | None],
) -> None:
    given = {name: document.numbers(index) for name, index in primitive["attributes"].items() if _read(name)}
    faces = _faces(document, primitive, len(given["POSITION"]))
    parts.triangles += len(faces)
    if parts.triangles > TRIANGLES_MOST or parts.count + len(given["POSITION"]) > POINTS_MOST:
        raise NothingToDraw
    points, normals, mirrored = _placed(given, *stands)
    count = len(points)
    if len(faces) and (faces.min() < 0 or faces.max() >= count):
        raise NothingToDraw
    number, _ = parts.materials.setdefault(id(material), (len(parts.materials), material))
    parts.points.append(points)
    parts.normals.append(normals)
    parts.places.append(_floats(given.get(f"TEXCOORD_{material.set_of_places}"), count, (0, 0)))
    parts.colours.append(_floats(given.get("COLOR_0"), count, (1, 1, 1, 1)))
    parts.faces.append((faces[:, ::-1] if mirrored else faces) + np.int32(parts.count))
    parts.made_of.append(np.full(len(faces), number, np.int32))
    parts.count += count


def _read(attribute: str) -> bool:
    return attribute in {"POSITION", "NORMAL", "COLOR_0", "JOINTS_0", "WEIGHTS_0"} or (
        attribute.startswith("TEXCOORD_")
    )


def _faces(document: Document, primitive: Json, points: int) -> Faces:
    order = np.arange(points, dtype=np.int32)
    if "indices" in primitive:
        order = document.numbers(primitive["indices"])[:, 0].astype(np.int32)
    mode = primitive.get("mode", _TRIANGLES)
    if mode == _TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if mode not in {_STRIP, _FAN} or len(order) < 3:
        return np.zeros((0, 3), np.int32)
    if mode == _FAN:
        return np.stack((np.full(len(order) - 2, order[0]), order[1:-1], order[2:]), axis=1)
    strip = np.stack((order[:-2], order[1:-1], order[2:]), axis=1)
    strip[1::2] = strip[1::2, ::-1]  # every second one is the other way round
    return strip


def _placed(given: Mapping[str, Array], world: Array, bones: Array | None) -> tuple[Floats, Floats, bool]:
    """Points and normals in the world; whether it is mirrored, so that triangles turn the other way."""
    points = given["POSITION"].astype(np.float32)[:, :3]
    normals = _floats(given.get("NORMAL"), len(points), (np.nan, np.nan, np.nan))
    if bones is not None and "JOINTS_0" in given and "WEIGHTS_0" in given:
        weights = given["WEIGHTS_0"].astype(np.float32)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
        moved = np.zeros_like(points)
        turned = np.zeros_like(points)
        for column in range(weights.shape[1]):
            each = bones[given["JOINTS_0"][:, column]].astype(np.float32)
            weight = weights[:, column, None]
            moved += weight * (np.einsum("nij,nj->ni", each[:, :3, :3], points) + each[:, :3, 3])
            turned += weight * np.einsum("nij,nj->ni", each[:, :3, :3], normals)
        return moved, turned, False
    turn = world[:3, :3]
    inverse = np.linalg.pinv(turn)
    placed = points @ turn.T.astype(np.float32) + world[:3, 3].astype(np.float32)
    return placed, normals @ inverse.astype(np.float32), bool(np.linalg.det(turn) < 0)


def _floats(given: Array | None, count: int, otherwise: tuple[float, ...]) -> Floats:
    """So many rows of so many numbers; what is missing at the end of a row is taken from `otherwise`."""
    found = np.tile(np.array(otherwise, np.float32), (count, 1))
    if given is not None and len(given) == count:
        width = min(given.shape[1], found.shape[1])
        found[:, :width] = given[:, :width]
    return found
