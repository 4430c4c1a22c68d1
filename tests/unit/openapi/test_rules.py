"""What a rule of protovalidate becomes in a schema, and when a field is needed."""

from __future__ import annotations

from typing import Any

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from tools.openapi import rules
from tools.openapi.paths import Parameter, path_of, singular

Json = dict[str, Any]
OF_KIND = {"string": Field.TYPE_STRING, "int32": Field.TYPE_INT32, "int64": Field.TYPE_INT64}


def _field(kind: str, *, optional: bool = False, required: bool = False, **told: Any) -> Field:
    field = Field(name="field", type=OF_KIND.get(kind, Field.TYPE_STRING))
    if optional:
        field.oneof_index = 0
    declared = validate_pb2.FieldRules(required=required, **({kind: told} if told else {}))
    field.options.Extensions[validate_pb2.field].CopyFrom(declared)
    if kind == "repeated":
        field.label = Field.LABEL_REPEATED
    return field


def _said(field: Field, **schema: Any) -> Json:
    rules.constrain(schema, field)
    return schema


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"min_len": 1, "max_len": 9}, {"minLength": 1, "maxLength": 9}),
        ({"len": 64}, {"minLength": 64, "maxLength": 64}),
        ({"pattern": "^a$"}, {"pattern": "^a$"}),
        ({"prefix": "a.b/"}, {"pattern": r"^a\.b/"}),
        ({"suffix": "-x"}, {"pattern": "-x$"}),
        ({"uuid": True}, {"format": "uuid"}),
        ({"email": True}, {"format": "email"}),
        ({"const": "a"}, {"const": "a"}),
        ({"in": ["a", "b"]}, {"enum": ["a", "b"]}),
        ({"contains": "x"}, {"description": "Rule: contains x."}),
    ],
)
def test_rules_of_text(told: Json, said: Json) -> None:
    assert _said(_field("string", **told)) == said


def test_rules_of_numbers() -> None:
    assert _said(_field("int32", gte=1, lt=10)) == {"minimum": 1, "exclusiveMaximum": 10}
    assert _said(_field("int32", gt=0, lte=9)) == {"exclusiveMinimum": 0, "maximum": 9}


def test_numbers_of_64_bits_are_bounded_in_words() -> None:
    said = _said(_field("int64", gte=1, lte=2000), format="int64", description="How many.")
    assert said["description"] == "How many. At least 1. At most 2,000."
    assert (said["x-minimum"], said["x-maximum"], said["pattern"]) == ("1", "2000", "^[0-9]{1,19}$")


def test_rules_of_lists_and_of_what_is_in_them() -> None:
    told = {"min_items": 1, "max_items": 3, "unique": True, "items": {"string": {"max_len": 5}}}
    said = _said(_field("repeated", **told), type="array", items={"type": "string"})
    assert (said["minItems"], said["maxItems"], said["uniqueItems"]) == (1, 3, True)
    assert said["items"]["maxLength"] == 5


def test_what_no_keyword_can_say_is_said_in_words() -> None:
    field = _field("string")
    field.options.Extensions[validate_pb2.field].cel.add(id="x", message="Not on Sundays.", expression="true")
    assert _said(field, description="When.") == {"description": "When. Not on Sundays."}


@pytest.mark.parametrize(
    ("field", "needed"),
    [
        (_field("string"), False),
        (_field("string", max_len=5), False),
        (_field("string", min_len=1), True),
        (_field("string", min_len=0), False),
        (_field("string", uuid=True), True),
        (_field("string", pattern="^a?$"), False),
        (_field("string", pattern="^a+$"), True),
        (_field("string", prefix="a/"), True),
        (_field("string", uuid=True, optional=True), False),
        (_field("string", optional=True, required=True), True),
        (_field("int32", gte=0), False),
        (_field("int32", gte=1), True),
        (_field("int32", gt=0), True),
        (_field("int32", lte=10), False),
        (_field("int32", lt=0), True),
        (_field("repeated", max_items=3), False),
        (_field("repeated", min_items=1), True),
    ],
)
def test_a_field_is_needed_if_its_rules_refuse_the_empty_value(field: Field, needed: bool) -> None:
    assert rules.is_needed(field) == needed


def test_an_empty_value_may_be_exempt() -> None:
    field = _field("string", uuid=True)
    field.options.Extensions[validate_pb2.field].ignore = validate_pb2.IGNORE_IF_ZERO_VALUE
    assert not rules.is_needed(field)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("/v1/assets", "/v1/assets", []),
        (
            "/v1/{name=assets/*}:download",
            "/v1/assets/{asset}:download",
            [Parameter("asset", "name", "assets/")],
        ),
        ("/v1/{asset.name=assets/*}", "/v1/assets/{asset}", [Parameter("asset", "asset.name", "assets/")]),
        ("/v1/webhooks/{vendor}", "/v1/webhooks/{vendor}", [Parameter("vendor", "vendor", "")]),
        (
            "/v1/{name=packs/*/entries/*}",
            "/v1/packs/{pack}/entries/{entry}",
            [Parameter("pack", "name", "packs/"), Parameter("entry", "name", "packs/{pack}/entries/")],
        ),
    ],
)
def test_paths_are_spelled_as_openapi_has_them(template: str, path: str, parameters: list[Parameter]) -> None:
    found = path_of(template)
    assert (found.text, list(found.parameters)) == (path, parameters)


def test_one_of_several() -> None:
    assert [singular(each) for each in ("assets", "entries", "me")] == ["asset", "entry", "me"]
