"""What the descriptors say is reachable from outside: one `Rpc` for each RPC that has an outside audience."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crafiq.options.v1 import options_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from tools.gateway.template import Template

PACKAGE = "crafiq."
OUTSIDE = {
    options_pb2.AUDIENCE_PUBLIC: "PUBLIC",
    options_pb2.AUDIENCE_USER: "USER",
    options_pb2.AUDIENCE_OPERATOR: "OPERATOR",
}
# Calls a minute by one caller, where the proto says nothing.
PER_MINUTE = {"PUBLIC": 120, "USER": 300, "OPERATOR": 300}
BODY_BYTES = 64 * 1024
UNARY_SECONDS = 10
VERBS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Binding:
    """One `google.api.http` rule: an HTTP method and a path template.

    body: the field that the body is; `*` for the whole request, empty where there is none.
    """

    method: str
    template: Template
    body: str = ""


@dataclass(frozen=True)
class Rpc:
    """An RPC that exists outside.

    service: "assets"; full_service: "crafiq.assets.v1.AssetsService". request, response: full names
    of the messages. purpose: "STORAGE". role: of an operator. per_minute: calls by one caller, who
    is the person, or the address of one who is not signed in. streams: the answer is a stream and
    has no deadline.
    """

    service: str
    full_service: str
    name: str
    request: str
    response: str
    audience: str
    purpose: str
    role: str
    bindings: tuple[Binding, ...]
    per_minute: int
    max_body_bytes: int
    streams: bool

    @property
    def label(self) -> str:
        """`assets.GetAsset`: for route names, logs and limits."""
        return f"{self.service}.{self.name}"

    @property
    def grpc_path(self) -> str:
        """Where gRPC and gRPC-Web find it."""
        return f"/{self.full_service}/{self.name}"

    @property
    def public(self) -> bool:
        """Whether nobody needs to be signed in."""
        return self.audience == "PUBLIC"


def parse(descriptor_set: bytes) -> FileDescriptorSet:
    """The set with its options understood: importing the `_pb2` modules above registered them."""
    return FileDescriptorSet.FromString(descriptor_set)


def access_of(method: MethodDescriptorProto) -> options_pb2.Access:
    """Who may call; AUDIENCE_UNSPECIFIED where nothing is declared, which is nobody."""
    return method.options.Extensions[options_pb2.access]


def outside(files: FileDescriptorSet) -> list[Rpc]:
    """Every RPC of ours with an outside audience, in the order of the protos."""
    found = []
    for file in files.file:
        if not file.package.startswith(PACKAGE):
            continue
        for service in file.service:
            full = f"{file.package}.{service.name}"
            found += [_rpc(full, method) for method in service.method if is_outside(method)]
    return found


def is_outside(method: MethodDescriptorProto) -> bool:
    """Whether anyone but our own services may call it."""
    return access_of(method).audience in OUTSIDE


def _rpc(full_service: str, method: MethodDescriptorProto) -> Rpc:
    access = access_of(method)
    audience = OUTSIDE[access.audience]
    return Rpc(
        service=full_service.split(".")[1],
        full_service=full_service,
        name=method.name,
        request=method.input_type.removeprefix("."),
        response=method.output_type.removeprefix("."),
        audience=audience,
        purpose=options_pb2.Purpose.Name(access.purpose).removeprefix("PURPOSE_"),
        role=access.role,
        bindings=tuple(_bindings(method.options.Extensions[annotations_pb2.http])),
        per_minute=access.rate_limit.per_minute or PER_MINUTE[audience],
        max_body_bytes=access.max_body_bytes or BODY_BYTES,
        streams=method.server_streaming,
    )


def _bindings(rule: http_pb2.HttpRule) -> Iterator[Binding]:
    kind = rule.WhichOneof("pattern")
    if kind in VERBS:
        yield Binding(kind.upper(), Template.parse(getattr(rule, kind)), rule.body)
    elif kind == "custom":
        yield Binding(rule.custom.kind, Template.parse(rule.custom.path), rule.body)
    for more in rule.additional_bindings:
        yield from _bindings(more)
