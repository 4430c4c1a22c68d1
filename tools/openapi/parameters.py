"""What a call takes beside its body: in the path, in the query, in a header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from tools.openapi import rules
from tools.openapi.examples import Examples
from tools.openapi.paths import Parameter
from tools.openapi.samples import ABSENT
from tools.openapi.schemas import KNOWN, Schemas, json_name
from tools.openapi.types import Types, is_repeated, type_of

Json = dict[str, Any]
# One segment of a path; a colon begins a verb.
SEGMENT = "^[^/:]+$"
# A query can say these as text.
AS_TEXT = {
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "google.protobuf.FieldMask",
}


@dataclass(frozen=True)
class Parameters:
    """Makes parameter objects for the fields of a request."""

    types: Types
    schemas: Schemas
    examples: Examples

    def in_path(self, request: str, parameter: Parameter) -> Json:
        """One wildcard of the path."""
        message, own = self._find(request, parameter.field)
        comment = self.types.comment(f"{message}.{own.name}")
        schema: Json = {"type": "string", "minLength": 1, "pattern": SEGMENT}
        most = rules.rules_of(own).string.max_len
        if most:
            schema["maxLength"] = most - len(parameter.before)
        example = str(self.examples.field(message, own)).removeprefix(parameter.before)
        if "{uuid}" in comment:
            schema = {"type": "string", "format": "uuid"}
        described = (
            f"The end of its name, `{parameter.before}{{{parameter.name}}}`." if parameter.before else comment
        )
        return {
            "name": parameter.name, "in": "path", "required": True, "description": described,
            "schema": schema, "example": example,
        }  # fmt: skip

    def in_query(self, request: str, taken: set[str]) -> list[Json]:
        """Every field that neither the path nor the body (`taken`) says."""
        return [self._in_query(message, own, name) for message, own, name in self._leaves(request, taken)]

    def in_header(self, request: str, field: str, name: str) -> Json:
        """A field that a header says as well."""
        schema = self.schemas.property(request, self.types.field(request, field), request=True)
        schema.pop("description", None)
        described = "What was received last: the stream goes on after it. EventSource sends it by itself."
        return {"name": name, "in": "header", "description": described, "schema": schema}

    def _in_query(self, message: str, own: Field, name: str) -> Json:
        schema = self.schemas.property(message, own, request=True)
        made: Json = {"name": name, "in": "query"}
        if described := schema.pop("description", ""):
            made["description"] = described
        if rules.is_needed(own):
            made["required"] = True
        made["schema"] = schema
        example = self.examples.field(message, own)
        if example is not ABSENT:
            made["example"] = example
        return made

    def _leaves(self, message: str, taken: set[str], before: str = "") -> Iterator[tuple[str, Field, str]]:
        """Message, field and name of each; fields of messages by a path with dots."""
        for own in self.types.messages[message].field:
            name = f"{before}{json_name(own)}"
            if own.name in taken or any(each.startswith(f"{own.name}.") for each in taken):
                continue
            kind = type_of(own)
            if own.type != Field.TYPE_MESSAGE or kind in AS_TEXT:
                yield message, own, name
            elif kind not in KNOWN and not is_repeated(own):
                yield from self._leaves(kind, set(), f"{name}.")

    def _find(self, message: str, path: str) -> tuple[str, Field]:
        """The field at the end of `asset.name`, and the message that has it."""
        *steps, last = path.split(".")
        for step in steps:
            message = type_of(self.types.field(message, step))
        return message, self.types.field(message, last)
