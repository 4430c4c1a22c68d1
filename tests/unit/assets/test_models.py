"""What of a model stays: exactly what is drawn, as an independent program reads it."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import ImageChops

from cli.demo import example
from services.assets.domain.media import TYPES
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported
from tests.unit.assets import makers, scenes

MODEL = TYPES["model/gltf-binary"]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def scene() -> bytes:
    """Two spheres with pictures on them, one of which says who took it and where."""
    return scenes.scene(example.photo().read_bytes(), example.plain().read_bytes())


def cleaned(content: bytes) -> bytes:
    return MODEL.clean(content).content


def loaded(content: bytes) -> trimesh.Scene:
    return trimesh.load_scene(io.BytesIO(content), file_type="glb")


@pytest.mark.promise("2a-input-media", "5-ai-min-input")
def test_nothing_that_was_said_about_a_scene_stays(scene: bytes) -> None:
    after = cleaned(scene)
    for said in (scenes.WORDS.encode(), b"Exif", b"trimesh"):
        assert said in scene
        assert said not in after


def test_a_scene_looks_as_before(scene: bytes) -> None:
    before, after = loaded(scene), loaded(cleaned(scene))
    pairs = list(zip(before.dump(concatenate=False), after.dump(concatenate=False), strict=True))
    assert len(pairs) == 3
    for one, other in pairs:
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.faces, other.faces)
        if getattr(one.visual, "uv", None) is not None:
            np.testing.assert_array_equal(one.visual.uv, other.visual.uv)
            old, new = one.visual.material, other.visual.material
            textures = (material.baseColorTexture.convert("RGB") for material in (old, new))
            assert ImageChops.difference(*textures).getbbox() is None
            assert (old.roughnessFactor, old.metallicFactor) == (new.roughnessFactor, new.metallicFactor)


@pytest.mark.parametrize("make", [scenes.everything, makers.glb])
def test_a_clean_model_stays_as_it_is(make: Any) -> None:
    after = cleaned(make())
    assert cleaned(after) == after


def test_everything_that_is_drawn_stays_and_nothing_else() -> None:
    (before, old), (after, new) = (
        scenes.parts(scenes.everything()),
        scenes.parts(cleaned(scenes.everything())),
    )
    views = before["bufferViews"]
    picture = views[before["images"][0]["bufferView"]]
    shrunk = after["bufferViews"][before["images"][0]["bufferView"]]
    assert shrunk["byteLength"] < picture["byteLength"]
    picture["byteLength"] = shrunk["byteLength"]
    assert after == before
    for view in views:
        piece = slice(view["byteOffset"], view["byteOffset"] + view["byteLength"])
        if view is not picture and "byteStride" not in view:
            assert new[piece] == old[piece]
    for vertex in range(0, 60, 20):
        assert new[vertex : vertex + 16] == old[vertex : vertex + 16]
        assert new[vertex + 16 : vertex + 20] == bytes(4)


def changed(**changes: Any) -> bytes:
    """The model that uses everything, with other values at its top."""
    description, binary = scenes.parts(scenes.everything())
    return scenes.packed(description | changes, binary)


def with_primitive(**more: Any) -> bytes:
    description, binary = scenes.parts(scenes.everything())
    description["meshes"][0]["primitives"][0] |= more
    return scenes.packed(description, binary)


def test_data_of_an_applications_own_become_zero() -> None:
    description, binary = scenes.parts(scenes.everything())
    description["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": 12})
    description["accessors"].append({
        "bufferView": len(description["bufferViews"]) - 1, "componentType": 5121, "count": 12,
        "type": "SCALAR",
    })  # fmt: skip
    description["buffers"][0]["byteLength"] += 12
    attributes = description["meshes"][0]["primitives"][0]["attributes"]
    attributes["_WHO"] = len(description["accessors"]) - 1
    content = scenes.packed(description, binary + makers.SECRET + b"!")
    assert makers.SECRET + b"!" in content
    after, bytes_after = scenes.parts(cleaned(content))
    assert "_WHO" not in after["meshes"][0]["primitives"][0]["attributes"]
    assert makers.SECRET not in bytes_after


def test_an_extension_that_is_not_known_goes_unless_the_model_needs_it() -> None:
    more = {"extensionsUsed": ["KHR_future"], "extensions": {"KHR_future": {"who": scenes.WORDS}}}
    after, _ = scenes.parts(cleaned(changed(**more, extensionsRequired=[])))
    assert "extensionsUsed" not in after
    assert "extensions" not in after
    with pytest.raises(ContentUnsupported, match="without an extension of glTF that is not taken"):
        cleaned(changed(**more, extensionsRequired=["KHR_future"]))


@pytest.mark.parametrize("content", [
    changed(nodes=[{"mesh": "0"}]), changed(nodes=[{"mesh": -1}]), changed(scene=True),
    changed(nodes=[{"scale": [1, 1, 10**400]}]), changed(nodes=[{"scale": [1, 1, 2**60]}]),
    changed(materials=[{"alphaMode": scenes.WORDS}]), changed(meshes={"0": 1}), changed(nodes=[[]]),
    changed(accessors=[]), changed(bufferViews=[]), changed(extensionsUsed="KHR_materials_unlit"),
    changed(animations=[{"channels": [{"sampler": 0, "target": {"path": "pointer"}}], "samplers": []}]),
    changed(buffers=[{"byteLength": 10**9}]), changed(buffers=[{"byteLength": 1}]),
    changed(buffers=[{"byteLength": 60}, {"byteLength": 60}]),
    changed(images=[{"uri": "data:image/png;base64,"}]), changed(images=[{"bufferView": 0}]),
    with_primitive(indices=99), with_primitive(attributes={"POSITION": 4.5}),
    scenes.everything().replace(b'{"ior": 1.4}', b'{"ior":1e999}'),
])  # fmt: skip
def test_a_description_that_makes_no_sense_is_refused(content: bytes) -> None:
    with pytest.raises((ContentDamaged, ContentUnsupported)):
        cleaned(content)


def test_a_picture_can_not_hide_as_a_mesh() -> None:
    description, binary = scenes.parts(scenes.everything())
    picture = description["images"][0]["bufferView"]
    description["accessors"][3] |= {"bufferView": picture, "count": 100}
    with pytest.raises(ContentUnsupported, match="overlap"):
        cleaned(scenes.packed(description, binary))


def test_accessors_that_read_the_same_bytes_over_and_over_are_refused() -> None:
    description, binary = scenes.parts(scenes.everything())
    uv = description["accessors"][2]["bufferView"]
    description["accessors"] += [
        {"bufferView": uv, "byteOffset": n % 2, "componentType": 5121, "count": 1 + n % 20, "type": "SCALAR"}
        for n in range(40)
    ]  # fmt: skip
    description["meshes"][0]["primitives"] = [{"attributes": {"POSITION": n}} for n in range(13, 53)]
    assert cleaned(scenes.packed(description, binary))
    large = binary + bytes(10_000)
    description["bufferViews"][uv] = {"buffer": 0, "byteLength": len(large)}
    description["buffers"][0]["byteLength"] = len(large)
    description["images"] = description["textures"] = []
    for number, accessor in enumerate(description["accessors"][13:]):
        accessor["count"] = len(large) - 2 - number
    with pytest.raises(ContentDamaged, match="too often"):
        cleaned(scenes.packed(description, large))


@pytest.mark.parametrize(("flags", "taken"), [(0, True), (0x8000, False)])
def test_a_compressed_mesh_stays_unless_it_has_notes(flags: int, taken: bool) -> None:
    blob = b"DRACO\2\2\1\1" + struct.pack("<H", flags) + b"coded mesh"
    description: Json = {
        "asset": {"version": "2.0"}, "extensionsUsed": ["KHR_draco_mesh_compression"],
        "extensionsRequired": ["KHR_draco_mesh_compression"],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "extensions": {
            "KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}},
        }}]}],
        "accessors": [{"componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": len(blob)}], "buffers": [{"byteLength": len(blob)}],
    }  # fmt: skip
    content = scenes.packed(description, blob)
    if taken:
        assert scenes.parts(cleaned(content)) == (description, blob + bytes(-len(blob) % 4))
    else:
        with pytest.raises(ContentUnsupported, match="notes"):
            cleaned(content)


def test_views_that_are_compressed_stay_with_an_empty_buffer_to_unpack_into() -> None:
    blob = b"\xa0 coded vertices"
    view = {"buffer": 1, "byteLength": 36, "byteStride": 12, "extensions": {"EXT_meshopt_compression": {
        "buffer": 0, "byteLength": len(blob), "byteStride": 12, "count": 3, "mode": "ATTRIBUTES",
        "filter": "NONE",
    }}}  # fmt: skip
    description: Json = {
        "asset": {"version": "2.0"}, "extensionsUsed": ["EXT_meshopt_compression"],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [view],
        "buffers": [
            {"byteLength": len(blob)},
            {"byteLength": 36, "extensions": {"EXT_meshopt_compression": {"fallback": True}}},
        ],
    }  # fmt: skip
    content = scenes.packed(description, blob)
    assert scenes.parts(cleaned(content)) == (description, blob + bytes(-len(blob) % 4))


def texture(*, notes: bytes = makers.SECRET, samples: int = 1) -> bytes:
    """A texture in KTX 2.0: ETC1S in one level, with who wrote it."""
    size = 24 + 16 * samples
    form = struct.pack("<IIHH4B", 4 + size, 0, 2, size, 163, 1, 2, 0) + b"\3\3\0\0" + bytes(8)
    form += struct.pack("<HBB4xII", 0, 63, 0, 0, 0xFFFFFFFF) * samples
    told = struct.pack("<I", len(notes)) + notes + bytes(-len(notes) % 4)
    at = 80 + 24
    shared, level = b"codebooks", b"coded blocks"
    shared_at = at + len(form) + len(told) + -(len(form) + len(told)) % 8
    head = b"\xabKTX 20\xbb\r\n\x1a\n" + struct.pack("<9I", 0, 1, 8, 8, 0, 0, 1, 1, 1)
    places = (at, len(form), at + len(form), len(told), shared_at, len(shared))
    index = struct.pack("<4I2Q", *places) + struct.pack("<3Q", shared_at + len(shared), len(level), 0)
    body = form + told
    return head + index + body + bytes(-len(body) % 8) + shared + level + makers.SECRET


def test_a_compressed_texture_stays_without_who_wrote_it() -> None:
    content = texture()
    description: Json = {
        "asset": {"version": "2.0"}, "extensionsUsed": ["KHR_texture_basisu"],
        "textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}],
        "images": [{"bufferView": 0, "mimeType": "image/ktx2"}],
        "bufferViews": [{"buffer": 0, "byteLength": len(content)}], "buffers": [{"byteLength": len(content)}],
    }  # fmt: skip
    after = cleaned(scenes.packed(description, content))
    assert makers.SECRET not in after
    said, binary = scenes.parts(after)
    assert said["images"] == description["images"]
    assert b"codebooks" in binary
    assert b"coded blocks" in binary
    assert cleaned(after) == after
    with pytest.raises(ContentUnsupported, match="Basis Universal"):
        cleaned(scenes.packed(description, texture(samples=3)[: len(content)]))
