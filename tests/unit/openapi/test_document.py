"""The public document: valid, complete, and true to the protos down to its examples."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from protovalidate import Validator

from tools.gateway import replies
from tools.gateway.surface import Rpc, outside, parse
from tools.openapi import document, rendered
from tools.openapi.schemas import KNOWN

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
VALIDATOR = Validator()
BETTER_EXAMPLE = "Give the field a value in tools/openapi/samples.py."
PROTOS = (ROOT / "gen" / "crafiq.binpb").read_bytes()
DOCUMENT = document(PROTOS)
RPCS = {f"{rpc.full_service}/{rpc.name}": rpc for rpc in outside(parse(PROTOS))}


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with where it stands and which RPC it is."""

    method: str
    path: str
    content: Json

    @property
    def rpc(self) -> Rpc | None:
        return RPCS.get(self.content.get("x-rpc", ""))

    @property
    def body(self) -> Json | None:
        body = self.content.get("requestBody", {}).get("content", {}).get("application/json")
        return None if body is None else dict(body)

    @property
    def answer(self) -> Json | None:
        answer = self.content["responses"]["200"]["content"].get("application/json")
        return None if answer is None else dict(answer)


OPERATIONS = [
    Operation(method, path, content)
    for path, methods in DOCUMENT["paths"].items()
    for method, content in methods.items()
]
WITH_BODY = [each for each in OPERATIONS if each.body is not None]
OF_RPCS = [each for each in OPERATIONS if each.rpc is not None]


def _named(operation: Operation) -> str:
    return str(operation.content["operationId"])


def _faults(schema: Json, value: Any) -> list[str]:
    whole = {**schema, "components": DOCUMENT["components"]}
    checker = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [fault.message for fault in checker.iter_errors(value)]


def _message(full_name: str) -> type[Message]:
    if full_name.startswith("crafiq."):
        _, service, version, _ = full_name.split(".", 3)
        # Importing it makes the pool know it.
        importlib.import_module(f"crafiq.{service}.{version}.{service}_pb2")
    found = descriptor_pool.Default().FindMessageTypeByName(full_name)
    made: type[Message] = message_factory.GetMessageClass(found)
    return made


def _request(operation: Operation) -> Message:
    """What the gateway makes of the example: path, query and body in one message."""
    assert operation.rpc is not None
    binding = next(b for b in operation.rpc.bindings if b.method.lower() == operation.method)
    fields: Json = {}
    body = (operation.body or {}).get("example", {})
    if binding.body == "*":
        fields.update(body)
    elif binding.body:
        fields[binding.body] = body
    for parameter in operation.content.get("parameters", []):
        if parameter["in"] == "query" and "example" in parameter:
            fields[parameter["name"]] = parameter["example"]
        elif parameter["in"] == "path":
            _set_name(fields, binding.template.text, parameter)
    return json_format.ParseDict(fields, _message(operation.rpc.request)())


def _set_name(fields: Json, template: str, parameter: Json) -> None:
    """`/v1/{asset.name=assets/*}` sets `name` of `asset`."""
    variable, _, pattern = template.partition("{")[2].partition("}")[0].partition("=")
    *steps, last = variable.split(".")
    for step in steps:
        fields = fields.setdefault(step, {})
    fields[last] = (pattern or "*").replace("*", parameter["example"])


def test_it_is_a_valid_openapi_3_1_document() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1")


def test_the_committed_document_is_what_the_protos_say() -> None:
    committed = (ROOT / "deploy" / "gateway" / "openapi.json").read_text()
    assert committed == rendered(DOCUMENT), "Run `python -m tools.openapi` and commit it."


def test_every_route_is_in_it_and_nothing_else() -> None:
    rows = json.loads((ROOT / "deploy" / "gateway" / "routes.json").read_text())
    routed = sorted((row["method"].lower(), row["rpc"]) for row in rows if row["method"])
    documented = sorted((each.method, each.content["x-rpc"]) for each in OF_RPCS)
    assert documented == routed
    assert {each.path for each in OPERATIONS if each.rpc is None} == {"/healthz", "/openapi.json"}


@pytest.mark.promise("8-least-priv")
def test_what_is_for_services_is_not_even_named() -> None:
    text = json.dumps(DOCUMENT)
    assert "BatchGetPublicProfiles" not in text
    assert "StoreOutput" not in text
    assert "PlaceHold" not in text


def test_wildcards_are_called_by_what_they_name() -> None:
    paths = set(DOCUMENT["paths"])
    assert {
        "/v1/assets/{asset}",
        "/v1/assets/{asset}:download",
        "/v1/generations/{generation}/egress",
    } <= paths
    assert set(DOCUMENT["paths"]["/v1/assets/{asset}"]) == {"delete", "get", "patch"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=_named)
def test_every_operation_says_what_it_does_and_how_it_fails(operation: Operation) -> None:
    content = operation.content
    assert content["summary"]
    assert content["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert {"200", "429", "default"} <= set(content["responses"])
    if operation.rpc is not None:
        assert content["description"]
        assert {"400", "500", "503"} <= set(content["responses"])
        assert ("401" in content["responses"]) or operation.rpc.public
        assert content["security"] == ([] if operation.rpc.public else [{"bearer": []}, {"cookie": []}])


@pytest.mark.parametrize("operation", WITH_BODY, ids=_named)
def test_the_example_of_a_body_obeys_its_schema(operation: Operation) -> None:
    assert operation.body is not None
    assert _faults(operation.body["schema"], operation.body["example"]) == [], BETTER_EXAMPLE


@pytest.mark.parametrize("operation", OF_RPCS, ids=_named)
def test_the_example_of_a_call_obeys_the_rules_of_its_proto(operation: Operation) -> None:
    """The very check that services make."""
    assert VALIDATOR.collect_violations(_request(operation)) == [], BETTER_EXAMPLE


@pytest.mark.parametrize("operation", OPERATIONS, ids=_named)
def test_the_examples_of_parameters_and_answers_obey_their_schemas(operation: Operation) -> None:
    for parameter in operation.content.get("parameters", []):
        if "example" in parameter:
            assert _faults(parameter["schema"], parameter["example"]) == [], parameter["name"]
        assert "example" in parameter or parameter["in"] != "path"
    if operation.answer is not None and operation.rpc is not None:
        assert _faults(operation.answer["schema"], operation.answer["example"]) == []
        json_format.ParseDict(operation.answer["example"], _message(operation.rpc.response)())


def _needs() -> Iterator[tuple[str, Json, set[str]]]:
    """Each body, and the fields of it that the validator misses in an empty one."""
    for operation in WITH_BODY:
        assert operation.body is not None
        assert operation.rpc is not None
        name = operation.body["schema"]["$ref"].rsplit("/", 1)[1]
        message = _message(operation.rpc.request)
        faults = VALIDATOR.collect_violations(message())
        named = [fault.proto.field.elements[0].field_name for fault in faults if fault.proto.field]
        missed = {message.DESCRIPTOR.fields_by_name[each].json_name for each in named}
        yield name, DOCUMENT["components"]["schemas"][name], missed


def test_a_body_requires_what_the_validator_misses() -> None:
    for name, schema, missed in _needs():
        assert set(schema.get("required", [])) == missed & set(schema["properties"]), name


def test_64_bit_numbers_are_text_and_times_are_times() -> None:
    asset = DOCUMENT["components"]["schemas"]["assets.Asset"]["properties"]
    assert (asset["sizeBytes"]["type"], asset["sizeBytes"]["format"]) == ("string", "int64")
    assert asset["createTime"]["format"] == "date-time"
    assert asset["width"]["type"] == "integer"
    assert set(KNOWN) >= {"google.protobuf.Timestamp", "google.protobuf.FieldMask", "google.protobuf.Struct"}


def test_an_answer_has_every_field_that_can_not_be_absent() -> None:
    asset = DOCUMENT["components"]["schemas"]["assets.Asset"]
    optional = {"width", "height", "createTime", "expireTime"}
    assert set(asset["properties"]) - set(asset["required"]) == optional


def test_a_stream_is_server_sent_events_that_resume() -> None:
    watch = DOCUMENT["paths"]["/v1/generations/{generation}:watch"]["get"]
    (kind, events), *others = watch["responses"]["200"]["content"].items()
    assert (kind, others) == ("text/event-stream", [])
    data = events["schema"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/generation.Generation"}
    assert "Last-Event-ID" in {parameter["name"] for parameter in watch["parameters"]}
    assert "504" not in watch["responses"]


def test_a_partial_update_takes_what_its_mask_may_name() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["assets.UpdateAssetBody"]["properties"]) == {"title", "etag"}
    assert set(schemas["identity.UpdateAccountBody"]["properties"]) == {"username", "displayName", "etag"}


@pytest.mark.promise("2-inventory")
def test_what_says_something_about_a_person_is_marked() -> None:
    sign_up = DOCUMENT["components"]["schemas"]["identity.SignUpBody"]["properties"]
    assert sign_up["email"]["x-personal"] == "EMAIL"
    assert sign_up["password"]["x-personal"] == "CREDENTIAL"
    assert "x-personal" not in sign_up["requestId"]


def test_all_failures_have_one_shape_and_an_example_of_it() -> None:
    for name, response in DOCUMENT["components"]["responses"].items():
        content = response["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}
        assert name == "Other" or _faults(content["schema"], content["example"]) == [], name


@pytest.mark.parametrize("reply", replies.REPLIES, ids=lambda reply: str(reply.status))
def test_what_the_gateway_says_itself_has_that_shape(reply: replies.Reply) -> None:
    assert _faults({"$ref": "#/components/schemas/Error"}, replies.body(reply)) == []


@pytest.mark.parametrize(
    "error",
    [
        {"code": 5, "message": "No details."},
        {"code": 5, "message": "No reason.", "details": []},
        {"code": 0, "message": "No error.", "details": []},
        {"code": 5, "message": "A stranger.", "details": [{"@type": "type.googleapis.com/x.Y"}]},
        {"error": "another shape"},
    ],
)
def test_another_shape_is_told_apart(error: Json) -> None:
    assert _faults({"$ref": "#/components/schemas/Error"}, error)
