"""Small 3D models, made of a few triangles."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

Json = dict[str, Any]
_TYPES = {"f": 5126, "B": 5121, "H": 5123, "I": 5125}
# A square in the plane z = 0, seen from in front, its corners from the lower left against the clock.
CORNERS = np.array(((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)), "f4")
PLACES = np.array(((0, 1), (1, 1), (1, 0), (0, 0)), "f4")
TWO = np.array((0, 1, 2, 0, 2, 3), "u4")


class Model:
    """Puts a file together: `mesh` adds something that is drawn, `glb` is the file."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.json: Json = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}

    def mesh(
        self, indices: Any = TWO, *, node: Json | None = None, primitive: Json | None = None, **given: Any
    ) -> int:
        """A primitive with these attributes (POSITION, ...), in a node of its own whose number it answers."""
        attributes = {name: self.numbers(values) for name, values in given.items()}
        made: Json = {"attributes": attributes, **(primitive or {})}
        if indices is not None:
            made["indices"] = self.numbers(np.asarray(indices, "u4"))
        mesh = self.add("meshes", {"primitives": [made]})
        number = self.add("nodes", {"mesh": mesh, **(node or {})})
        self.json["scenes"][0]["nodes"].append(number)
        return number

    def square(
        self, colour: Sequence[float] = (1, 1, 1, 1), *, node: Json | None = None, **material: Any
    ) -> int:
        """A square of one colour, as bright as it is, both sides of it."""
        return self.mesh(
            POSITION=CORNERS, TEXCOORD_0=PLACES, node=node,
            primitive={"material": self.material(colour, **material)},
        )  # fmt: skip

    def material(self, colour: Sequence[float] = (1, 1, 1, 1), **more: Any) -> int:
        """Unlit, seen from both sides, unless `more` says otherwise."""
        body: Json = {"baseColorFactor": list(colour), "metallicFactor": 0}
        if "picture" in more:
            body["baseColorTexture"] = {"index": self.picture(more.pop("picture")), **more.pop("how", {})}
        unlit = {"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}
        return self.add("materials", {"pbrMetallicRoughness": body, **unlit, **more})

    def picture(self, image: Image.Image) -> int:
        """A texture."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        source = self.add("images", {"bufferView": self.view(buffer.getvalue()), "mimeType": "image/png"})
        return self.add("textures", {"source": source})

    def numbers(self, values: Any, **more: Any) -> int:
        """An accessor."""
        array = np.asarray(values)
        kind = {1: "SCALAR", 2: f"VEC{array.shape[-1]}", 3: "MAT4"}[array.ndim]
        component = _TYPES["I" if array.dtype.char == "L" else array.dtype.char]
        made = {"bufferView": self.view(array.tobytes()), "componentType": component, "count": len(array)}
        return self.add("accessors", {**made, "type": kind, **more})

    def view(self, content: bytes) -> int:
        """A part of the binary."""
        self.binary += bytes(-len(self.binary) % 4)
        made = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)}
        self.binary += content
        return self.add("bufferViews", made)

    def add(self, name: str, item: Json) -> int:
        """One more of these; answers its number."""
        items = self.json.setdefault(name, [])
        items.append(item)
        return len(items) - 1

    def glb(self) -> bytes:
        """The file."""
        document = {**self.json, "buffers": [{"byteLength": len(self.binary)}]}
        text = json.dumps(document).encode()
        chunks = b"".join(
            struct.pack("<II", len(body) + -len(body) % 4, kind) + body + pad * (-len(body) % 4)
            for kind, body, pad in ((0x4E4F534A, text, b" "), (0x004E4942, bytes(self.binary), b"\0"))
        )
        return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def ball(sides: int) -> tuple[Any, Any]:
    """Points and triangles of a ball with `sides` * `sides` faces."""
    turn, tilt = np.meshgrid(np.linspace(0, 2 * np.pi, sides + 1), np.linspace(0, np.pi, sides + 1))
    points = np.stack((np.sin(turn) * np.sin(tilt), np.cos(tilt), np.cos(turn) * np.sin(tilt)), axis=-1)
    number = np.arange((sides + 1) ** 2).reshape(sides + 1, -1)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.concatenate([np.stack(each, axis=-1).reshape(-1, 3) for each in ((a, b, c), (a, c, d))])
    return points.reshape(-1, 3).astype("f4"), faces.reshape(-1).astype("u4")
