"""Examples, derived from the names, comments and rules of fields; a test holds them to the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from tools.openapi import rules
from tools.openapi.samples import ABSENT, PRECISE, SHA256, TIME, VALUES, identifier
from tools.openapi.schemas import SCALARS, json_name
from tools.openapi.types import Types, is_repeated, type_of

Json = dict[str, Any]
_SUCH_AS = re.compile(r"such as `([^`]+)`")
# A comment that begins with the shape of a name.
_NAME = re.compile(r"^`([a-z]+)/\{(uuid|id)\}`")
# A comment that is a constant: "PUT.", "`SIGN_UP`."
_CONSTANT = re.compile(r"\b`?([A-Z][A-Z_]{2,})`?\.$")
KNOWN: Json = {
    "google.api.HttpBody": {"contentType": "application/json", "data": "e30="},
    "google.protobuf.Timestamp": TIME,
    "google.protobuf.Duration": "10s",
    "google.protobuf.FieldMask": "title",
    "google.protobuf.Struct": {},
    "google.protobuf.Empty": {},
}


@dataclass(frozen=True)
class Examples:
    """Makes them as JSON values; ABSENT where a field is better left out."""

    types: Types

    def message(self, name: str, *, only: set[str] | None = None) -> Any:
        """An example of a whole message, or of the fields named in `only`."""
        if name in KNOWN:
            return KNOWN[name]
        fields = [f for f in self.types.messages[name].field if only is None or f.name in only]
        made = {json_name(own): self.field(name, own) for own in fields}
        return {key: value for key, value in made.items() if value is not ABSENT}

    def field(self, message: str, own: Field) -> Any:
        """An example of one field."""
        precise = f"{message.rsplit('.', 1)[1]}.{own.name}"
        for table, key in ((PRECISE, precise), (VALUES, own.name)):
            if key in table:
                return table[key]
        entry = self.types.entry_of(own)
        if entry is not None:
            return self._map(entry)
        value = self._one(message, own)
        return [value] if is_repeated(own) else value

    def _map(self, entry: DescriptorProto) -> Json:
        key, value = entry.field
        return {"key": self._one(entry.name, value)} if key.type == Field.TYPE_STRING else {}

    def _one(self, message: str, own: Field) -> Any:
        if own.type == Field.TYPE_ENUM:
            enum = self.types.enums[type_of(own)]
            named = _CONSTANT.search(self.types.comment(f"{message}.{own.name}"))
            values = rules.allowed(own, enum)
            if named and named[1] in values:
                return named[1]
            return next((v for v in values if not v.endswith("_UNSPECIFIED")), values[0])
        if own.type == Field.TYPE_MESSAGE:
            return self.message(type_of(own))
        if own.type == Field.TYPE_STRING:
            return self._text(message, own)
        return _number(own)

    def _text(self, message: str, own: Field) -> str:
        comment = self.types.comment(f"{message}.{own.name}")
        if found := _SUCH_AS.search(comment):
            return found[1]
        if found := _NAME.search(comment):
            return f"{found[1]}/{identifier(found[1])}" if found[2] == "uuid" else f"{found[1]}/one"
        if own.name == "name":
            return self._own_name(message)
        if found := _CONSTANT.search(comment):
            return found[1]
        if own.name.endswith("sha256"):
            return SHA256
        text = rules.rules_of(own).string
        return identifier(own.name) if text.uuid else "x" * text.min_len

    def _own_name(self, message: str) -> str:
        own = message.rsplit(".", 1)[1]
        plural = f"{own[0].lower()}{own[1:]}s"
        return f"{plural}/{identifier(plural)}"


def _number(own: Field) -> Any:
    if own.type == Field.TYPE_BOOL:
        return True
    if SCALARS[own.type]["type"] == "string":
        return "1" if "int64" in SCALARS[own.type].get("format", "") else "Y3JhZmlx"
    return 1
