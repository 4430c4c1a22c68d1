"""What the descriptors must declare, because the rest of the system is derived from it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from crafiq.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

from deploy.local.infra import SERVICES

ROOT = Path(__file__).resolve().parents[2]


def _files() -> Iterator[FileDescriptor]:
    for proto in sorted((ROOT / "proto").rglob("*.proto")):
        module = str(proto.relative_to(ROOT / "proto").with_suffix("")).replace("/", ".") + "_pb2"
        yield importlib.import_module(module).DESCRIPTOR


def _methods() -> list[MethodDescriptor]:
    return [m for f in _files() for s in f.services_by_name.values() for m in s.methods]


def _access(method: MethodDescriptor) -> options_pb2.Access:
    return method.GetOptions().Extensions[options_pb2.access]


def _events() -> list[Descriptor]:
    files = [f for f in _files() if f.name.endswith("/events.proto")]
    return [m for f in files for m in f.message_types_by_name.values()]


@pytest.mark.promise("3-operate", "4-basis-map")
@pytest.mark.parametrize("method", _methods(), ids=lambda m: m.full_name)
def test_every_rpc_says_who_may_call_it_and_why(method: MethodDescriptor) -> None:
    access = _access(method)
    assert access.audience != options_pb2.AUDIENCE_UNSPECIFIED
    assert access.purpose != options_pb2.PURPOSE_UNSPECIFIED
    assert bool(access.services) == (access.audience == options_pb2.AUDIENCE_SERVICE)
    assert set(access.services) <= {*SERVICES, "gateway", "operator"}
    assert bool(access.role) == (access.audience == options_pb2.AUDIENCE_OPERATOR)


@pytest.mark.parametrize("method", _methods(), ids=lambda m: m.full_name)
def test_service_rpcs_do_not_exist_outside_and_others_do(method: MethodDescriptor) -> None:
    has_route = method.GetOptions().HasExtension(annotations_pb2.http)
    inside = _access(method).audience == options_pb2.AUDIENCE_SERVICE
    assert has_route != inside or (not inside and method.server_streaming)


@pytest.mark.parametrize("method", _methods(), ids=lambda m: m.full_name)
def test_what_creates_for_a_person_takes_a_request_id(method: MethodDescriptor) -> None:
    http = method.GetOptions().Extensions[annotations_pb2.http]
    creates = method.name.startswith("Create") and http.post and method.name != "CreateSession"
    if creates or method.name == "SignUp":
        assert "request_id" in method.input_type.fields_by_name


@pytest.mark.parametrize("method", _methods(), ids=lambda m: m.full_name)
def test_lists_are_paged(method: MethodDescriptor) -> None:
    catalogues = {"ListModels", "ListVendors", "ListHoldings"}  # a handful, public, the same for everyone
    if method.name.startswith("List") and method.name not in catalogues:
        assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name)
        assert "next_page_token" in method.output_type.fields_by_name


def _fields(message: Descriptor) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        yield field
        if field.message_type is not None and field.message_type.file.package.startswith("crafiq."):
            yield from _fields(field.message_type)


@pytest.mark.promise("2a-input-text", "9-delete-now")
@pytest.mark.parametrize("event", _events(), ids=lambda e: e.full_name)
def test_events_carry_names_and_nothing_personal(event: Descriptor) -> None:
    personal = [f.name for f in _fields(event) if f.GetOptions().Extensions[options_pb2.personal]]
    assert not personal
    assert event.fields_by_name["account"].type == FieldDescriptor.TYPE_STRING


# What names such as these hold is personal wherever they stand.
PERSONAL_NAMES = {
    "email", "password", "username", "display_name", "prompt", "title", "filename", "token",
    "access_token", "refresh_token", "reauth_token", "url",
}  # fmt: skip


@pytest.mark.promise("2-inventory")
def test_fields_that_hold_personal_data_say_so() -> None:
    own = [m for f in _files() if f.package.startswith("crafiq.") for m in f.message_types_by_name.values()]
    public = {"Model", "Vendor", "Policy"}  # titles and addresses of things that are no person's
    silent = [
        f.full_name
        for message in own
        if message.name not in public
        for f in message.fields
        if f.name in PERSONAL_NAMES and not f.GetOptions().Extensions[options_pb2.personal]
    ]
    assert not silent
