"""Rules of protovalidate as the keywords of JSON Schema that say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FieldDescriptorProto
from google.protobuf.message import Message

from tools.openapi.types import has_presence, is_repeated

Json = dict[str, Any]
# What one rule of these names says in one keyword.
KEYWORDS = {
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
    "const": "const",
}
FORMATS = {name: name for name in ("uuid", "email", "uri", "hostname", "ipv4", "ipv6")}
# Rules for what something is made of, and where the schema has it.
PARTS = {"items": "items", "keys": "propertyNames", "values": "additionalProperties"}
# JSON writes these as text, which no keyword for their size fits.
SAID_OTHERWISE = {"bytes", "any", "duration", "timestamp", "field_mask"}
IN_WORDS = {"gt": "More than", "gte": "At least", "lt": "Less than", "lte": "At most"}
# Whether a rule refuses the empty value: proto3 cannot tell it from one that is absent.
REFUSES_EMPTY: dict[str, Callable[[Any], bool]] = {
    "min_len": lambda least: bool(least > 0),
    "len": lambda length: bool(length > 0),
    "min_items": lambda least: bool(least > 0),
    "min_pairs": lambda least: bool(least > 0),
    "pattern": lambda pattern: re.search(pattern, "") is None,
    "prefix": bool,
    "suffix": bool,
    "contains": bool,
    "gt": lambda bound: bool(bound >= 0),
    "gte": lambda bound: bool(bound > 0),
    "lt": lambda bound: bool(bound <= 0),
    "lte": lambda bound: bool(bound < 0),
    "const": bool,
    "in": lambda values: not any(not value for value in values),
    "not_in": lambda values: any(not value for value in values),
    **dict.fromkeys(FORMATS, bool),
}


def rules_of(field: FieldDescriptorProto) -> validate_pb2.FieldRules:
    """Empty rules where there are none."""
    return field.options.Extensions[validate_pb2.field]


def is_needed(field: FieldDescriptorProto) -> bool:
    """Whether a request without it is refused."""
    rules = rules_of(field)
    if rules.required:
        return True
    if has_presence(field) or rules.ignore != validate_pb2.IGNORE_UNSPECIFIED:
        return False
    return any(REFUSES_EMPTY[name](value) for name, value in _typed(rules) if name in REFUSES_EMPTY)


def constrain(schema: Json, field: FieldDescriptorProto) -> None:
    """Add to `schema` what the field's rules say; what no keyword can say is said in words."""
    rules = rules_of(field)
    words = [rule.message for rule in rules.cel if rule.message]
    words += _apply(schema, rules)
    if words:
        schema["description"] = " ".join(filter(None, [schema.get("description", ""), *words]))


def allowed(field: FieldDescriptorProto, enum: EnumDescriptorProto) -> list[str]:
    """The names of the values that a request may have."""
    rules = rules_of(field).repeated.items.enum if is_repeated(field) else rules_of(field).enum
    within = [rules.const] if rules.HasField("const") else list(getattr(rules, "in"))
    return [v.name for v in enum.value if v.number not in rules.not_in and (not within or v.number in within)]


def _typed(rules: validate_pb2.FieldRules) -> list[tuple[str, Any]]:
    """The rules for the field's type, by name."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return []
    return sorted((descriptor.name, value) for descriptor, value in getattr(rules, kind).ListFields())


def _apply(schema: Json, rules: validate_pb2.FieldRules) -> list[str]:
    """Answers what is left to say in words."""
    kind = rules.WhichOneof("type")
    if kind == "enum":
        # What is not allowed is not among its values.
        return []
    words: list[str] = []
    for name, value in _typed(rules):
        if name in PARTS:
            words += _apply(schema.setdefault(PARTS[name], {}), value)
        elif kind in SAID_OTHERWISE or isinstance(value, Message):
            words.append(_in_words(name, value))
        elif schema.get("format") == "int64":
            words += _of_text(schema, name, value)
        else:
            words += _apply_one(schema, name, value)
    return words


def _apply_one(schema: Json, name: str, value: Any) -> list[str]:
    if name in KEYWORDS:
        schema[KEYWORDS[name]] = value
    elif name in FORMATS:
        schema["format"] = FORMATS[name]
    elif name == "len":
        schema["minLength"] = schema["maxLength"] = value
    elif name == "in":
        schema["enum"] = list(value)
    elif name in {"prefix", "suffix"} and "pattern" not in schema:
        fixed = re.sub(r"[.*+?^${}()|\[\]\\]", r"\\\g<0>", value)
        schema["pattern"] = f"^{fixed}" if name == "prefix" else f"{fixed}$"
    else:
        return [_in_words(name, value)]
    return []


def _in_words(name: str, value: Any) -> str:
    return f"Rule: {name} {' '.join(str(value).split())}."


def _of_text(schema: Json, name: str, value: int) -> list[str]:
    """Numbers of 64 bits are strings in JSON, and no keyword bounds what a string counts."""
    if name not in IN_WORDS:
        return [_in_words(name, value)]
    if name in {"gt", "gte"} and value >= 0:
        schema["pattern"] = "^[0-9]{1,19}$"
    schema[f"x-{KEYWORDS[name]}"] = str(value)
    return [f"{IN_WORDS[name]} {value:,}."]
