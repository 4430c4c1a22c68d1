"""What of a glTF 2.0 description stays: for each kind of object the properties that drawing it needs.

They are those of the specification (Khronos, 2.0.1, section 5) and of the extensions that change what is
drawn, each with the type it has to have. Whatever is not listed is left out: names, which nothing refers to,
`extras`, copyright, generator, other extensions, attributes of an application's own. Of words only
those remain that the specification gives a choice of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

Json = dict[str, Any]
Rule = Callable[[object], Any]
"""What stays of a value; raises ContentDamaged if it is of another type."""

_LARGEST = 1 << 53
_ATTRIBUTE = re.compile(r"POSITION|NORMAL|TANGENT|(TEXCOORD|COLOR|JOINTS|WEIGHTS)_[0-9]{1,2}")
_PLACEMENT = re.compile(r"TRANSLATION|ROTATION|SCALE")


def nonsense() -> NoReturn:
    """Refuse a description that contradicts the specification."""
    raise ContentDamaged(problem="its description makes no sense")


def whole(value: object) -> int:
    """A whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        nonsense()
    return value


def _number(value: object) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < math.inf:
        nonsense()
    if isinstance(value, int) and abs(value) >= _LARGEST:
        nonsense()
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        nonsense()
    return value


def _one_of(*choice: str | int) -> Rule:
    def rule(value: object) -> object:
        if isinstance(value, bool) or value not in choice:
            nonsense()
        return value

    return rule


def _list(rule: Rule) -> Rule:
    def each(value: object) -> list[Any]:
        if not isinstance(value, list):
            nonsense()
        return [rule(item) for item in value]

    return each


def _object(properties: Mapping[str, Rule], extensions: Mapping[str, Rule] | None = None) -> Rule:
    def rule(value: object) -> Json:
        if not isinstance(value, dict):
            nonsense()
        kept = {name: stays(value[name]) for name, stays in properties.items() if name in value}
        if extensions and "extensions" in value:
            extended = _object(extensions)(value["extensions"])
            kept |= {"extensions": extended} if extended else {}
        return kept

    return rule


def _attributes(named: re.Pattern[str]) -> Rule:
    """Numbers of accessors, by what they are of a vertex or an instance."""

    def rule(value: object) -> Json:
        if not isinstance(value, dict):
            nonsense()
        return {name: whole(item) for name, item in value.items() if named.fullmatch(name)}

    return rule


def _properties(rule: Rule, *names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


_numbers, _indices = _list(_number), _list(whole)
_TRANSFORM = {
    "KHR_texture_transform": _object(
        {"offset": _numbers, "rotation": _number, "scale": _numbers, "texCoord": whole}
    )
}
_MAP = {"index": whole, "texCoord": whole}
_map, _normal_map = _object(_MAP, _TRANSFORM), _object({**_MAP, "scale": _number}, _TRANSFORM)
_MATERIAL_EXTENSIONS = {
    "KHR_materials_anisotropy": _object({
        **_properties(_number, "anisotropyStrength", "anisotropyRotation"), "anisotropyTexture": _map,
    }),
    "KHR_materials_clearcoat": _object({
        **_properties(_number, "clearcoatFactor", "clearcoatRoughnessFactor"),
        **_properties(_map, "clearcoatTexture", "clearcoatRoughnessTexture"),
        "clearcoatNormalTexture": _normal_map,
    }),
    "KHR_materials_diffuse_transmission": _object({
        "diffuseTransmissionFactor": _number, "diffuseTransmissionColorFactor": _numbers,
        **_properties(_map, "diffuseTransmissionTexture", "diffuseTransmissionColorTexture"),
    }),
    "KHR_materials_dispersion": _object({"dispersion": _number}),
    "KHR_materials_emissive_strength": _object({"emissiveStrength": _number}),
    "KHR_materials_ior": _object({"ior": _number}),
    "KHR_materials_iridescence": _object({
        **_properties(
            _number, "iridescenceFactor", "iridescenceIor", "iridescenceThicknessMinimum",
            "iridescenceThicknessMaximum",
        ),
        **_properties(_map, "iridescenceTexture", "iridescenceThicknessTexture"),
    }),
    "KHR_materials_pbrSpecularGlossiness": _object({
        **_properties(_numbers, "diffuseFactor", "specularFactor"), "glossinessFactor": _number,
        **_properties(_map, "diffuseTexture", "specularGlossinessTexture"),
    }),
    "KHR_materials_sheen": _object({
        "sheenColorFactor": _numbers, "sheenRoughnessFactor": _number,
        **_properties(_map, "sheenColorTexture", "sheenRoughnessTexture"),
    }),
    "KHR_materials_specular": _object({
        "specularFactor": _number, "specularColorFactor": _numbers,
        **_properties(_map, "specularTexture", "specularColorTexture"),
    }),
    "KHR_materials_transmission": _object({"transmissionFactor": _number, "transmissionTexture": _map}),
    "KHR_materials_unlit": _object({}),
    "KHR_materials_volume": _object({
        **_properties(_number, "thicknessFactor", "attenuationDistance"),
        "thicknessTexture": _map, "attenuationColor": _numbers,
    }),
}  # fmt: skip
_MATERIAL = {
    "pbrMetallicRoughness": _object({
        "baseColorFactor": _numbers, **_properties(_number, "metallicFactor", "roughnessFactor"),
        **_properties(_map, "baseColorTexture", "metallicRoughnessTexture"),
    }),
    "normalTexture": _normal_map,
    "occlusionTexture": _object({**_MAP, "strength": _number}, _TRANSFORM),
    "emissiveTexture": _map, "emissiveFactor": _numbers, "alphaMode": _one_of("OPAQUE", "MASK", "BLEND"),
    "alphaCutoff": _number, "doubleSided": _flag,
}  # fmt: skip
_component = _one_of(5120, 5121, 5122, 5123, 5125, 5126)
_ACCESSOR = {
    **_properties(whole, "bufferView", "byteOffset", "count"), "componentType": _component,
    "normalized": _flag, "type": _one_of("SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"),
    **_properties(_numbers, "max", "min"),
    "sparse": _object({
        "count": whole,
        "indices": _object({**_properties(whole, "bufferView", "byteOffset"), "componentType": _component}),
        "values": _object(_properties(whole, "bufferView", "byteOffset")),
    }),
}  # fmt: skip
_ANIMATION = {
    "channels": _list(_object({
        "sampler": whole,
        "target": _object({"node": whole, "path": _one_of("translation", "rotation", "scale", "weights")}),
    })),
    "samplers": _list(_object({
        "input": whole, "output": whole, "interpolation": _one_of("LINEAR", "STEP", "CUBICSPLINE"),
    })),
}  # fmt: skip
_VIEW = {
    **_properties(whole, "buffer", "byteOffset", "byteLength", "byteStride"), "target": _one_of(34962, 34963),
}  # fmt: skip
_COMPRESSED_VIEW = {
    **_properties(whole, "buffer", "byteOffset", "byteLength", "byteStride", "count"),
    "mode": _one_of("ATTRIBUTES", "TRIANGLES", "INDICES"),
    "filter": _one_of("NONE", "OCTAHEDRAL", "QUATERNION", "EXPONENTIAL"),
}  # fmt: skip
_CAMERA = {
    "type": _one_of("perspective", "orthographic"),
    "perspective": _object(_properties(_number, "aspectRatio", "yfov", "zfar", "znear")),
    "orthographic": _object(_properties(_number, "xmag", "ymag", "zfar", "znear")),
}  # fmt: skip
_PRIMITIVE = {
    "attributes": _attributes(_ATTRIBUTE), **_properties(whole, "indices", "material"),
    "mode": _one_of(*range(7)), "targets": _list(_attributes(_ATTRIBUTE)),
}  # fmt: skip
_PRIMITIVE_EXTENSIONS = {
    "KHR_draco_mesh_compression": _object({"bufferView": whole, "attributes": _attributes(_ATTRIBUTE)}),
    "KHR_materials_variants": _object({
        "mappings": _list(_object({"material": whole, "variants": _indices})),
    }),
}  # fmt: skip
_NODE = {
    **_properties(whole, "camera", "skin", "mesh"), "children": _indices,
    **_properties(_numbers, "matrix", "rotation", "scale", "translation", "weights"),
}  # fmt: skip
_NODE_EXTENSIONS = {
    "KHR_lights_punctual": _object({"light": whole}), "KHR_node_visibility": _object({"visible": _flag}),
    "EXT_mesh_gpu_instancing": _object({"attributes": _attributes(_PLACEMENT)}),
}  # fmt: skip
_LIGHT = {
    "color": _numbers, **_properties(_number, "intensity", "range"),
    "type": _one_of("directional", "point", "spot"),
    "spot": _object(_properties(_number, "innerConeAngle", "outerConeAngle")),
}  # fmt: skip
_SAMPLER = {
    "magFilter": _one_of(9728, 9729), "minFilter": _one_of(9728, 9729, 9984, 9985, 9986, 9987),
    **_properties(_one_of(33071, 33648, 10497), "wrapS", "wrapT"),
}  # fmt: skip
_source = _object({"source": whole})
_TEXTURE_EXTENSIONS = {"KHR_texture_basisu": _source, "EXT_texture_webp": _source}
_ROOT = {
    "scene": whole, "scenes": _list(_object({"nodes": _indices})),
    "nodes": _list(_object(_NODE, _NODE_EXTENSIONS)),
    "meshes": _list(_object({
        "primitives": _list(_object(_PRIMITIVE, _PRIMITIVE_EXTENSIONS)), "weights": _numbers,
    })),
    "materials": _list(_object(_MATERIAL, _MATERIAL_EXTENSIONS)),
    "textures": _list(_object({"sampler": whole, "source": whole}, _TEXTURE_EXTENSIONS)),
    # What images and buffers without bytes here name is read, to refuse it.
    "images": _list(_object({"bufferView": whole, "uri": lambda _: ""})),
    "samplers": _list(_object(_SAMPLER)), "animations": _list(_object(_ANIMATION)),
    "skins": _list(_object({**_properties(whole, "inverseBindMatrices", "skeleton"), "joints": _indices})),
    "cameras": _list(_object(_CAMERA)), "accessors": _list(_object(_ACCESSOR)),
    "bufferViews": _list(_object(_VIEW, {"EXT_meshopt_compression": _object(_COMPRESSED_VIEW)})),
    "buffers": _list(_object(
        {"byteLength": whole, "uri": lambda _: ""}, {"EXT_meshopt_compression": _object({"fallback": _flag})}
    )),
}  # fmt: skip
_ROOT_EXTENSIONS = {
    "KHR_lights_punctual": _object({"lights": _list(_object(_LIGHT))}),
    "KHR_materials_variants": _object({"variants": _list(_object({}))}),
}  # fmt: skip
_EXTENSIONS = frozenset({
    *_TRANSFORM, *_MATERIAL_EXTENSIONS, *_PRIMITIVE_EXTENSIONS, *_NODE_EXTENSIONS, *_TEXTURE_EXTENSIONS,
    "EXT_meshopt_compression", "KHR_mesh_quantization",
})  # fmt: skip


def kept(description: Json) -> Json:
    """What of a whole description stays; raises ContentDamaged or ContentUnsupported."""
    names = {
        place: _list(_word)(description.get(place, [])) for place in ("extensionsUsed", "extensionsRequired")
    }
    if not _EXTENSIONS.issuperset(names["extensionsRequired"]):
        raise ContentUnsupported(problem="it can't be drawn without an extension of glTF that is not taken")
    stays: Json = {"asset": {"version": "2.0"}, **_object(_ROOT, _ROOT_EXTENSIONS)(description)}
    for number, variant in enumerate(_variants(stays)):
        variant["name"] = str(number)  # they have to have one
    return stays | {
        place: known
        for place, said in names.items()
        if (known := [name for name in said if name in _EXTENSIONS])
    }


def _word(value: object) -> str:
    if not isinstance(value, str):
        nonsense()
    return value


def _variants(description: Json) -> list[Json]:
    extended = description.get("extensions", {}).get("KHR_materials_variants", {})
    return list(extended.get("variants", []))


def accessors(description: Json) -> set[int]:
    """The accessors that something is drawn with, of a description that is kept."""
    used: list[int] = []
    for mesh in description.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            used += primitive.get("attributes", {}).values()
            used += [primitive["indices"]] if "indices" in primitive else []
            used += [item for target in primitive.get("targets", []) for item in target.values()]
    for animation in description.get("animations", []):
        used += [
            item
            for one in animation.get("samplers", [])
            for name, item in one.items()
            if name in {"input", "output"}
        ]
    for skin in description.get("skins", []):
        used += [skin["inverseBindMatrices"]] if "inverseBindMatrices" in skin else []
    for node in description.get("nodes", []):
        instances = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {})
        used += instances.get("attributes", {}).values()
    return set(used)
