"""Every RPC of every service called as every kind of caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from cli.api import Api, ServerSentEvent
from tests.e2e.conftest import Join, Person, slow_down
from tests.e2e.matrix import REFUSED, SERVICES, Doors, Tokens, access, methods, path
from tests.personal import used
from tests.running import Running
from tests.support import eventually

ALL = list(methods())
USER = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_USER]
INSIDE = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_SERVICE]
PUBLIC = [(s, m) for s, m in ALL if access(m).audience == options_pb2.AUDIENCE_PUBLIC]
HARMLESS = [(s, m) for s, m in USER if not access(m).reauthentication and m.name != "SignOut"]
"""What a person may be made to call with an empty request, and still be signed in afterwards."""
CERTIFICATES = ("gateway", *SERVICES, "operator")
EVERYWHERE = 5.0  # seconds in which a session that ended is over everywhere
CLAIMS = {
    "x-forwarded-client-cert": "URI=spiffe://crafiq/svc/operator",
    "x-crafiq-service": "operator",
    "x-crafiq-roles": "operator",
}
"""What somebody would send who hoped that a name in a header is believed."""

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
    others = {path(m) for _, m in ALL} - {path(m) for _, m in (*USER, *INSIDE, *PUBLIC)}
    assert not others, "Nobody calls these here: with the role, without it, and with every certificate."
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


async def _signs_out(person: Person, platform: Running) -> float:
    await person.api.post("/v1/sessions:signOut")
    return monotonic()


async def _is_signed_out_elsewhere(person: Person, platform: Running) -> float:
    (session,) = (await person.api.get("/v1/sessions"))["sessions"]
    elsewhere = Api(person.http, platform.gateway)
    signed_in = await elsewhere.post("/v1/sessions", email=person.email, password=person.password)
    elsewhere.sign_in_with(used(signed_in["accessToken"]))
    await elsewhere.call("DELETE", f"/v1/{session['name']}")
    return monotonic()


async def _rest(events: AsyncIterator[ServerSentEvent]) -> tuple[list[ServerSentEvent], float]:
    """What came until a stream ended, and when that was."""
    return [event async for event in events], monotonic()


@pytest.mark.parametrize("who", [_signs_out, _is_signed_out_elsewhere], ids=lambda who: who.__name__[1:])
async def test_a_revoked_token_is_nobodys_within_five_seconds(
    doors: Doors, platform: Running, http: aiohttp.ClientSession, join: Join, who: Any
) -> None:
    """Although every service has just verified it and remembers that; and whoever watches is told to go."""
    person = await join()
    prompt = f"a clock without hands, {uuid4()}"
    await slow_down(platform, http, prompt, seconds=20)  # it outlives all that follows
    order = await person.order(prompt)
    events = person.api.events(f"/v1/{order['name']}:watch")
    assert (await anext(events)).event == "state"
    statuses = await _statuses(doors, HARMLESS, "gateway", person.access_token)
    assert not REFUSED & set(statuses.values()), statuses

    watching = asyncio.create_task(_rest(events))
    ended = await who(person, platform)

    async def refused_everywhere() -> bool:
        statuses = await _statuses(doors, USER, "gateway", person.access_token)
        assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses
        return True

    await eventually(refused_everywhere, timeout=EVERYWHERE)
    everywhere = monotonic() - ended
    async with asyncio.timeout(EVERYWHERE):
        rest, let_go = await watching
    print(f"refused everywhere after {everywhere:.2f} s, let go after {let_go - ended:.2f} s")
    assert everywhere < EVERYWHERE
    assert rest[-1].event == "reauth", [event.event for event in rest]
    assert let_go - ended < EVERYWHERE


async def test_headers_that_claim_an_identity_are_not_believed(doors: Doors, join: Join) -> None:
    person = await join()
    claims = {
        "x-crafiq-account": person.account, "x-auth-sub": person.account, "x-user": person.account,
        **CLAIMS,
    }  # fmt: skip
    statuses = await _statuses(doors, USER, "gateway", **claims)
    assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses


async def test_a_good_token_opens_a_persons_own(doors: Doors, join: Join) -> None:
    person = await join()
    statuses = await _statuses(doors, HARMLESS, "gateway", person.access_token)
    # Reauthenticate is asked without a password, which its rules refuse before anything else.
    assert not {p: s for p, s in statuses.items() if s in REFUSED}


@pytest.mark.parametrize("certificate", sorted({*CERTIFICATES} - {"gateway"}))
async def test_only_the_gateway_brings_people(doors: Doors, tokens: Tokens, certificate: str) -> None:
    statuses = await _statuses(doors, USER, certificate, tokens.good(uuid4()), **CLAIMS)
    assert set(statuses.values()) == {grpc.StatusCode.PERMISSION_DENIED}, statuses


async def test_rpcs_for_services_open_to_those_named_and_to_nobody_else(doors: Doors, tokens: Tokens) -> None:
    token = tokens.good(uuid4())
    for service, method in INSIDE:
        for certificate in CERTIFICATES:
            if certificate in access(method).services:
                status = await doors.call(service, method, certificate)
                assert status not in REFUSED, (path(method), certificate, status)
            else:
                status = await doors.call(service, method, certificate, token, **CLAIMS)
                assert status == grpc.StatusCode.PERMISSION_DENIED, (path(method), certificate, status)


def test_what_an_operator_may_call_is_this_and_for_operators_alone() -> None:
    """Written down by hand: nothing is added to it by the way."""
    opened = {m.name: list(access(m).services) for _, m in INSIDE if "operator" in access(m).services}
    assert set(opened) == {"BlendPublicWorks", "ReportScrub", "ForgetWitnesses", "Replay", "TakeWitnesses"}
    assert [*opened.values()] == [["operator"]] * 5, opened


async def test_what_is_public_asks_nobody(doors: Doors, tokens: Tokens) -> None:
    for token in ("", "not-a-token", tokens.expired(uuid4())):
        statuses = await _statuses(doors, PUBLIC, "gateway", token)
        # Signing in and refreshing say UNAUTHENTICATED about what they were given, not about the caller.
        assert not {
            p: s
            for p, s in statuses.items()
            if s in REFUSED and not p.endswith(("/CreateSession", "/RefreshSession"))
        }


async def test_rpcs_for_services_do_not_exist_outside(
    platform: Running, http: aiohttp.ClientSession, join: Join
) -> None:
    person = await join()
    callers = {"nobody": {}, "a person": {"authorization": f"Bearer {person.access_token}", **CLAIMS}}
    for _, method in INSIDE:
        for kind in ("application/grpc-web+proto", "application/grpc", "application/json"):
            for who, more in callers.items():
                headers = {"content-type": kind, "x-grpc-web": "1", **more}
                url = f"{platform.gateway}{path(method)}"
                async with http.post(url, data=b"\0\0\0\0\0", headers=headers) as answer:
                    # Native gRPC is told no in its own way: 200 and a status that is not OK.
                    refused = answer.status in {404, 415} or answer.headers.get("grpc-status", "0") != "0"
                    assert refused, (who, path(method), kind, answer.status, answer.headers)
