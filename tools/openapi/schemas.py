"""Messages as JSON Schema, as proto3 JSON writes and reads them.

Answers and requests differ. In an answer every field that cannot be absent is there, and no rule
applies; in a request what rules demand is there, and the rest may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from tools.openapi import rules
from tools.openapi.types import Types, has_presence, is_repeated, type_of

Json = dict[str, Any]
INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}
UINT32 = {"minimum": 0, "maximum": 2**32 - 1}
_INTEGER = {"type": "integer", "format": "int32"}
_COUNT = {"type": "integer", "format": "int64", "minimum": 0}
_LONG = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_LONG_COUNT = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
SCALARS: dict[int, Json] = {
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_FLOAT: {"type": "number", "format": "float"},
    **dict.fromkeys((Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32), _INTEGER),
    **dict.fromkeys((Field.TYPE_UINT32, Field.TYPE_FIXED32), _COUNT),
    **dict.fromkeys((Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64), _LONG),
    **dict.fromkeys((Field.TYPE_UINT64, Field.TYPE_FIXED64), _LONG_COUNT),
}
# Messages that JSON writes as something else.
KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "pattern": r"^[A-Za-z0-9_.]+(,[A-Za-z0-9_.]+)*$"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "google.protobuf.Int64Value": {"type": ["string", "null"], "format": "int64"},
    "google.protobuf.DoubleValue": {"type": ["number", "null"], "format": "double"},
}


@dataclass
class Schemas:
    """Makes schemas; those that were referred to are gathered in `components`."""

    types: Types
    components: dict[str, Json] = field(default_factory=dict)

    def answer(self, message: str) -> Json:
        """What an answer of this type looks like."""
        if message in KNOWN:
            return dict(KNOWN[message])
        return self._reference(component(message), message, request=False)

    def body(self, message: str, name: str, fields: set[str]) -> Json:
        """What a request's body looks like, as the component `name`: these fields of a message."""
        kept = [own for own in self.types.messages[message].field if own.name in fields]
        self.components[name] = self._object(message, kept, request=True)
        return {"$ref": f"#/components/schemas/{name}"}

    def property(self, message: str, own: Field, *, request: bool) -> Json:
        """One field, with its comment and, in a request, its rules."""
        entry = self.types.entry_of(own)
        if entry is not None:
            value = self._value(entry.field[1], request=request)
            schema: Json = {"type": "object", "additionalProperties": value}
        elif is_repeated(own):
            schema = {"type": "array", "items": self._value(own, request=request)}
        else:
            schema = self._value(own, request=request)
        described = {"description": self.types.comment(f"{message}.{own.name}"), **schema}
        if not described["description"]:
            del described["description"]
        if request:
            rules.constrain(described, own)
        described.update(_about_people(own))
        return described

    def _value(self, own: Field, *, request: bool) -> Json:
        """The type of one value, whatever it is repeated in."""
        if own.type == Field.TYPE_ENUM:
            return self._enum(own, request=request)
        if own.type == Field.TYPE_MESSAGE:
            message = type_of(own)
            if message in KNOWN:
                return dict(KNOWN[message])
            name = component(message) + ("Input" if request else "")
            return self._reference(name, message, request=request)
        bounds = {Field.TYPE_INT32: INT32, Field.TYPE_UINT32: UINT32}.get(own.type, {}) if request else {}
        return {**SCALARS[own.type], **bounds}

    def _enum(self, own: Field, *, request: bool) -> Json:
        full = type_of(own)
        enum = self.types.enums[full]
        if request and len(names := rules.allowed(own, enum)) < len(enum.value):
            return {"type": "string", "enum": names}
        name = component(full)
        values = [f"`{v.name}`: {self.types.comment(f'{full}.{v.name}')}" for v in enum.value]
        lines = [self.types.comment(full), "", *(f"- {each}" for each in values)]
        names = [v.name for v in enum.value]
        self.components[name] = {"type": "string", "description": "\n".join(lines), "enum": names}
        return {"$ref": f"#/components/schemas/{name}"}

    def _reference(self, name: str, message: str, *, request: bool) -> Json:
        if name not in self.components:
            # Before its fields, because they may refer to it.
            self.components[name] = {}
            fields = list(self.types.messages[message].field)
            self.components[name] = self._object(message, fields, request=request)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, message: str, fields: list[Field], *, request: bool) -> Json:
        described = self.types.comment(message)
        schema: Json = {"type": "object", **({"description": described} if described else {})}
        schema["properties"] = {
            json_name(own): self.property(message, own, request=request) for own in fields
        }
        there = rules.is_needed if request else _always_printed
        required = [json_name(own) for own in fields if there(own)]
        return {**schema, **({"required": required} if required else {})}


def component(full_name: str) -> str:
    """`crafiq.assets.v1.Asset` is `assets.Asset`; Google's are called by their last name."""
    package, service, _, *rest = full_name.split(".")
    if package == "crafiq":
        return ".".join([service, *rest])
    return full_name.rsplit(".", 1)[1]


def json_name(own: Field) -> str:
    """lowerCamelCase, as protoc has written it into the descriptor."""
    head, *tail = own.name.split("_")
    return own.json_name or head + "".join(part.capitalize() for part in tail)


def _always_printed(own: Field) -> bool:
    return not has_presence(own)


def _about_people(own: Field) -> Json:
    """What the field says about a person."""
    category = own.options.Extensions[options_pb2.personal]
    if not category:
        return {}
    name = options_pb2.Category.Name(category).removeprefix("CATEGORY_")
    secret = {"format": "password"} if own.name == "password" else {}
    return {"x-personal": name, **secret}
