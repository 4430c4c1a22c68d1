"""Every RPC of every service called as every kind of caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import grpc
import pytest
from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from tests.e2e.conftest import Join
from tests.e2e.matrix import REFUSED, SERVICES, Doors, Tokens, access, methods, path
from tests.running import Running

ALL = list(methods())
USER = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_USER]
INSIDE = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_SERVICE]
PUBLIC = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_PUBLIC]

pytestmark = [pytest.mark.promise("8-least-priv", "3-authenticate", "8-tls")]


@pytest.fixture(scope="module")
async def doors(platform: Running) -> AsyncIterator[Doors]:
    doors = Doors(platform.state)
    yield doors
    await doors.close()


@pytest.fixture(scope="module")
def tokens(platform: Running) -> Tokens:
    return Tokens(platform.state)


async def _statuses(
    doors: Doors, calls: list[tuple[str, MethodDescriptor]], certificate: str, token: str = "", **headers: str
) -> dict[str, grpc.StatusCode]:
    return {path(m): await doors.call(s, m, certificate, token, **headers) for s, m in calls}


def test_the_matrix_covers_every_rpc() -> None:
    assert len(USER) + len(INSIDE) + len(PUBLIC) == len(ALL)
    assert len(USER) > 10
    assert len(INSIDE) > 4
    assert len(PUBLIC) > 4


async def test_without_a_certificate_there_is_no_connection(doors: Doors) -> None:
    for service in SERVICES:
        one = next(m for s, m in ALL if s == service)
        assert await doors.call(service, one, "") == grpc.StatusCode.UNAVAILABLE


async def test_nobody_gets_at_what_is_a_persons(doors: Doors) -> None:
    statuses = await _statuses(doors, USER, "gateway")
    assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses


@pytest.mark.parametrize("kind", ["expired", "forged", "elsewhere"])
async def test_a_bad_token_is_nobodys(doors: Doors, tokens: Tokens, kind: str) -> None:
    token = getattr(tokens, kind)(uuid4())
    statuses = await _statuses(doors, USER, "gateway", token)
    assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses


async def test_headers_that_claim_an_identity_are_not_believed(doors: Doors, join: Join) -> None:
    person = await join()
    claims = {
        "x-crafiq-account": person.account, "x-auth-sub": person.account, "x-user": person.account,
        "x-forwarded-client-cert": "URI=spiffe://crafiq/svc/identity",
    }  # fmt: skip
    statuses = await _statuses(doors, USER, "gateway", **claims)
    assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses


async def test_a_good_token_opens_a_persons_own(doors: Doors, join: Join) -> None:
    person = await join()
    calls = [(s, m) for s, m in USER if not access(m).reauthentication and m.name != "SignOut"]
    statuses = await _statuses(doors, calls, "gateway", person.access_token)
    # Reauthenticate is asked without a password, which its rules refuse before anything else.
    assert not {p: s for p, s in statuses.items() if s in REFUSED}


async def test_a_service_can_not_pretend_to_be_the_gateway(doors: Doors, tokens: Tokens) -> None:
    token = tokens.good(uuid4())
    for certificate in SERVICES:
        statuses = await _statuses(doors, USER, certificate, token)
        assert set(statuses.values()) <= REFUSED, (certificate, statuses)


async def test_rpcs_for_services_open_to_those_named_and_to_nobody_else(doors: Doors, tokens: Tokens) -> None:
    for service, method in INSIDE:
        for certificate in ("gateway", *SERVICES):
            status = await doors.call(service, method, certificate, tokens.good(uuid4()))
            if certificate in access(method).services:
                assert status not in REFUSED, (path(method), certificate, status)
            else:
                assert status == grpc.StatusCode.PERMISSION_DENIED, (path(method), certificate, status)


async def test_what_is_public_asks_nobody(doors: Doors, tokens: Tokens) -> None:
    for token in ("", "not-a-token", tokens.expired(uuid4())):
        statuses = await _statuses(doors, PUBLIC, "gateway", token)
        # Signing in and refreshing say UNAUTHENTICATED about what they were given, not about the caller.
        assert not {
            p: s
            for p, s in statuses.items()
            if s in REFUSED and not p.endswith(("/CreateSession", "/RefreshSession"))
        }


async def test_rpcs_for_services_do_not_exist_outside(platform: Running, http: aiohttp.ClientSession) -> None:
    for _, method in INSIDE:
        for kind in ("application/grpc-web+proto", "application/grpc", "application/json"):
            headers = {"content-type": kind, "x-grpc-web": "1"}
            url = f"{platform.gateway}{path(method)}"
            async with http.post(url, data=b"\0\0\0\0\0", headers=headers) as answer:
                # Native gRPC is told no in its own way: 200 and a status that is not OK.
                refused = answer.status in {404, 415} or answer.headers.get("grpc-status", "0") != "0"
                assert refused, (path(method), kind, answer.status, answer.headers)
