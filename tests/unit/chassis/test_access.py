"""Who may call what follows from the declaration of the RPC and from nothing else."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from crafiq.options.v1 import options_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from google.protobuf.descriptor import MethodDescriptor

from chassis.errors import Refusal
from chassis.rpc import AccessTokens, Revocations
from chassis.rpc.access import Gate, credential, gate, peer_service
from tests.support import FakeClock, Tokens

ANN = UUID(int=1)
CLOCK = FakeClock()
TOKENS = Tokens(CLOCK)


def _method(access: options_pb2.Access | None) -> MethodDescriptor:
    pool = descriptor_pool.DescriptorPool()
    for module in (descriptor_pb2, empty_pb2, options_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    file.dependency.extend([empty_pb2.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name])
    method = file.service.add(name="Test").method.add(name="Do")
    method.input_type = method.output_type = ".google.protobuf.Empty"
    if access is not None:
        method.options.Extensions[options_pb2.access].CopyFrom(access)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("t.Test").methods[0]


def _gate(audience: str, **more: object) -> Gate:
    access = options_pb2.Access(audience=getattr(options_pb2, f"AUDIENCE_{audience}"), **more)
    return gate(_method(access), AccessTokens(TOKENS.jwks, CLOCK, Revocations(CLOCK)))


def _bearer(*roles: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS.access(ANN, roles=roles)}"}


async def _answer(gate: Gate, service: str, metadata: dict[str, str]) -> str:
    try:
        caller = await gate(service, metadata)
    except Refusal as refusal:
        return refusal.reason
    return f"{caller.service}:{caller.account}"


EXPIRED = {"authorization": f"Bearer {TOKENS.access(ANN, lives=timedelta(seconds=-1))}"}


@pytest.mark.parametrize(
    ("audience", "service", "metadata", "answer"),
    [
        ("PUBLIC", "gateway", {}, "gateway:None"),
        ("PUBLIC", "gateway", _bearer(), f"gateway:{ANN}"),
        ("PUBLIC", "gateway", EXPIRED, "gateway:None"),
        ("PUBLIC", "gateway", {"authorization": "Bearer rubbish"}, "gateway:None"),
        ("PUBLIC", "billing", _bearer(), "billing:None"),
        ("USER", "gateway", {}, "SIGN_IN_REQUIRED"),
        ("USER", "gateway", _bearer(), f"gateway:{ANN}"),
        ("USER", "gateway", EXPIRED, "CREDENTIAL_INVALID"),
        ("USER", "billing", _bearer(), "CALLER_NOT_ALLOWED"),
        ("OPERATOR", "gateway", _bearer(), "ROLE_REQUIRED"),
        ("OPERATOR", "gateway", _bearer("support"), f"gateway:{ANN}"),
        ("OPERATOR", "gateway", _bearer("auditor"), "ROLE_REQUIRED"),
        ("OPERATOR", "gateway", {}, "SIGN_IN_REQUIRED"),
        ("OPERATOR", "billing", _bearer("support"), "CALLER_NOT_ALLOWED"),
        ("SERVICE", "generation", {}, "generation:None"),
        ("SERVICE", "generation", _bearer(), "generation:None"),
        ("SERVICE", "assets", {}, "CALLER_NOT_ALLOWED"),
        ("SERVICE", "gateway", _bearer("support"), "CALLER_NOT_ALLOWED"),
    ],
)
async def test_each_audience_admits_whom_it_names(
    audience: str, service: str, metadata: dict[str, str], answer: str
) -> None:
    more = {"SERVICE": {"services": ["generation"]}, "OPERATOR": {"role": "support"}}.get(audience, {})
    assert await _answer(_gate(audience, **more), service, metadata) == answer


@pytest.mark.parametrize(
    "access",
    [
        None,
        options_pb2.Access(),
        options_pb2.Access(audience="AUDIENCE_OPERATOR"),
        # The request has no field for the proof.
        options_pb2.Access(audience="AUDIENCE_USER", reauthentication=True),
    ],
)
def test_what_is_not_declared_or_can_not_be_kept_does_not_start(access: options_pb2.Access | None) -> None:
    with pytest.raises(TypeError, match=r"t\.Test\.Do"):
        gate(_method(access), AccessTokens(TOKENS.jwks, CLOCK, Revocations(CLOCK)))


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        ({}, ""),
        ({"authorization": "Bearer a.b.c"}, "a.b.c"),
        ({"authorization": "bearer a.b.c"}, "a.b.c"),
        ({"authorization": "Basic YTpi"}, ""),
        ({"cookie": "theme=dark; __Host-crafiq_access=a.b.c; x"}, "a.b.c"),
        ({"cookie": "not__Host-crafiq_access=a.b.c"}, ""),
        ({"cookie": "__Host-crafiq_access=cookie", "authorization": "Bearer header"}, "header"),
    ],
)
def test_the_credential_is_the_bearer_or_else_the_cookie(metadata: dict[str, str], token: str) -> None:
    assert credential(metadata) == token


def test_a_certificate_names_its_service() -> None:
    assert peer_service([b"localhost", b"spiffe://crafiq/svc/billing"]) == "billing"
    for names in (None, [], [b"spiffe://elsewhere/svc/billing"], [b"billing"]):
        with pytest.raises(Refusal, match="names no service"):
            peer_service(names)
