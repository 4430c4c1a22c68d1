"""Models: one that an independent program writes (trimesh), one that uses all that glTF has to draw with."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tests.unit.assets import makers

Json = dict[str, Any]
WORDS = "CANARY-model-7f3e"


def parts(content: bytes) -> tuple[Json, bytes]:
    """The description and the binary part."""
    size = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def packed(description: Json, binary: bytes = b"") -> bytes:
    """A file of both."""
    text = json.dumps(description).encode()
    chunks = b"".join(
        struct.pack("<II", len(body) + -len(body) % 4, kind) + body + pad * (-len(body) % 4)
        for kind, body, pad in ((0x4E4F534A, text, b" "), (0x004E4942, binary, b"\0"))
    )
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _texture(original: bytes) -> Image.Image:
    """A picture that trimesh writes as it is, EXIF and all, not encoded again."""
    image = Image.open(io.BytesIO(original))
    image.load()
    image.save = lambda file, **_: file.write(original)  # type: ignore[method-assign]
    return image


def scene(*pictures: bytes) -> bytes:
    """Spheres side by side in two sizes, each with a picture on it, named and commented everywhere."""
    made = trimesh.Scene(metadata={"author": WORDS})
    for number, picture in enumerate(pictures):
        sphere = trimesh.creation.uv_sphere(count=[8, 8])
        uv = np.column_stack((sphere.vertices[:, 0], sphere.vertices[:, 1])) * 0.4 + 0.5
        material = PBRMaterial(
            name=WORDS, baseColorTexture=_texture(picture), metallicFactor=0.1, roughnessFactor=0.7
        )
        sphere.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        sphere.metadata["who"] = WORDS
        place = trimesh.transformations.translation_matrix((number * 2.5, 0, 0))
        place[:3, :3] *= 1 + number
        made.add_geometry(
            sphere, node_name=f"{WORDS}-{number}", geom_name=f"{WORDS}-mesh-{number}", transform=place
        )
    made.add_geometry(trimesh.creation.box(), geom_name=WORDS)
    return bytes(made.export(file_type="glb"))


def everything() -> bytes:
    """Every kind of object with what is drawn of it and nothing else."""
    picture = makers.jpeg()
    vertices = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    # Places of vertices and their colours alternate; behind each stand four bytes of nobody's.
    mixed = b"".join(
        vertices[12 * n : 12 * n + 12] + b"\x10\x20\x30\xff" + makers.SECRET[:4] for n in range(3)
    )
    pieces = {
        "mixed": mixed, "uv": struct.pack("<6f", 0, 0, 1, 0, 0, 1),
        "indices": struct.pack("<3H", 0, 1, 2) + b"\0\0",
        "joints": bytes(12), "weights": struct.pack("<4f", 1, 0, 0, 0) * 3,
        "times": struct.pack("<2f", 0, 1), "turns": struct.pack("<8f", 0, 0, 0, 1, 0, 0, 1, 0),
        "matrix": struct.pack("<16f", 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),
        "shift": struct.pack("<9f", *[0.5] * 9), "which": struct.pack("<H", 1) + b"\0\0",
        "there": struct.pack("<3f", 2, 2, 2), "normals": struct.pack("<9f", *[0, 0, 1] * 3),
        "picture": picture,
        "tangents": struct.pack("<12f", *[1, 0, 0, 1] * 3),
    }  # fmt: skip
    at, views, binary = {}, [], b""
    for name, piece in pieces.items():
        at[name] = len(views)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(piece)})
        binary += piece + bytes(-len(piece) % 4)
    views[at["mixed"]] |= {"byteStride": 20, "target": 34962}
    views[at["indices"]]["target"] = 34963

    def accessor(view: str, component: int, count: int, kind: str, **more: object) -> Json:
        return {"bufferView": at[view], "componentType": component, "count": count, "type": kind, **more}

    bounds = {"min": [0, 0, 0], "max": [1, 1, 0]}
    moved = {"count": 1, "indices": {"bufferView": at["which"], "componentType": 5123},
             "values": {"bufferView": at["there"]}}  # fmt: skip
    texture = {"index": 0, "texCoord": 0, "extensions": {
        "KHR_texture_transform": {"offset": [0.1, 0.2], "rotation": 0.5, "scale": [2, 2], "texCoord": 0},
    }}  # fmt: skip
    plain = {"index": 0}
    description: Json = {
        "asset": {"version": "2.0"},
        "extensionsUsed": [
            "KHR_texture_transform", "KHR_lights_punctual", "KHR_materials_variants",
            "KHR_materials_clearcoat", "KHR_materials_unlit", "KHR_materials_ior", "KHR_materials_sheen",
            "KHR_materials_specular",
            "KHR_materials_transmission", "KHR_materials_volume", "KHR_materials_iridescence",
            "KHR_materials_anisotropy", "KHR_materials_emissive_strength", "KHR_materials_dispersion",
        ],
        "extensionsRequired": ["KHR_texture_transform"],
        "scene": 0, "scenes": [{"nodes": [0, 2, 3]}],
        "nodes": [
            {"mesh": 0, "skin": 0, "children": [1], "weights": [0.5]},
            {"rotation": [0, 0, 0, 1], "scale": [1, 1, 1], "translation": [0, 0, 0]},
            {"camera": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]},
            {"camera": 1, "extensions": {"KHR_lights_punctual": {"light": 0}}},
        ],
        "meshes": [{"weights": [0.5], "primitives": [{
            "attributes": {
                "POSITION": 0, "COLOR_0": 1, "TEXCOORD_0": 2, "JOINTS_0": 4, "WEIGHTS_0": 5, "NORMAL": 11,
                "TANGENT": 12,
            },
            "indices": 3, "material": 0, "mode": 4, "targets": [{"POSITION": 9}],
            "extensions": {"KHR_materials_variants": {"mappings": [{"material": 1, "variants": [0]}]}},
        }]}],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [1, 1, 1, 1], "baseColorTexture": texture, "metallicFactor": 0.5,
                    "roughnessFactor": 0.5, "metallicRoughnessTexture": plain,
                },
                "normalTexture": {"index": 0, "scale": 0.5},
                "occlusionTexture": {"index": 0, "strength": 0.5}, "emissiveTexture": plain,
                "emissiveFactor": [1, 0, 0], "alphaMode": "MASK", "alphaCutoff": 0.25, "doubleSided": True,
                "extensions": {
                    "KHR_materials_clearcoat": {
                        "clearcoatFactor": 1, "clearcoatTexture": plain, "clearcoatRoughnessFactor": 0.1,
                        "clearcoatNormalTexture": {"index": 0, "scale": 0.5},
                    },
                    "KHR_materials_ior": {"ior": 1.4},
                    "KHR_materials_emissive_strength": {"emissiveStrength": 5},
                    "KHR_materials_sheen": {"sheenColorFactor": [1, 1, 1], "sheenRoughnessFactor": 0.5},
                    "KHR_materials_specular": {"specularFactor": 0.5, "specularColorTexture": plain},
                    "KHR_materials_transmission": {"transmissionFactor": 0.5},
                    "KHR_materials_volume": {"thicknessFactor": 1, "attenuationColor": [1, 0, 0]},
                    "KHR_materials_dispersion": {"dispersion": 0.1},
                    "KHR_materials_iridescence": {"iridescenceFactor": 0.3},
                    "KHR_materials_anisotropy": {"anisotropyStrength": 0.3, "anisotropyTexture": plain},
                },
            },
            {"extensions": {"KHR_materials_unlit": {}}},
        ],
        "textures": [{"sampler": 0, "source": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 33648}],
        "images": [{"bufferView": at["picture"], "mimeType": "image/jpeg"}],
        "animations": [{
            "channels": [{"sampler": 0, "target": {"node": 1, "path": "rotation"}}],
            "samplers": [{"input": 6, "output": 7, "interpolation": "LINEAR"}],
        }],
        "skins": [{"inverseBindMatrices": 8, "skeleton": 1, "joints": [1]}],
        "cameras": [
            {"type": "perspective", "perspective": {
                "aspectRatio": 1.5, "yfov": 0.8, "zfar": 100, "znear": 0.1,
            }},
            {"type": "orthographic", "orthographic": {"xmag": 1, "ymag": 1, "zfar": 100, "znear": 0.1}},
        ],
        "accessors": [
            accessor("mixed", 5126, 3, "VEC3", byteOffset=0, **bounds),
            accessor("mixed", 5121, 3, "VEC4", byteOffset=12, normalized=True),
            accessor("uv", 5126, 3, "VEC2"), accessor("indices", 5123, 3, "SCALAR"),
            accessor("joints", 5121, 3, "VEC4"), accessor("weights", 5126, 3, "VEC4"),
            accessor("times", 5126, 2, "SCALAR", min=[0], max=[1]), accessor("turns", 5126, 2, "VEC4"),
            accessor("matrix", 5126, 1, "MAT4"),
            accessor("shift", 5126, 3, "VEC3", sparse=moved, min=[0.5] * 3, max=[2, 2, 2]),
            {"componentType": 5126, "count": 3, "type": "VEC3"},
            accessor("normals", 5126, 3, "VEC3"), accessor("tangents", 5126, 3, "VEC4"),
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
        "extensions": {
            "KHR_lights_punctual": {"lights": [{
                "color": [1, 1, 1], "intensity": 2, "range": 10, "type": "spot",
                "spot": {"innerConeAngle": 0.1, "outerConeAngle": 0.5},
            }]},
            "KHR_materials_variants": {"variants": [{"name": "0"}]},
        },
    }  # fmt: skip
    return packed(description, binary)
