"""Who calls is what the gateway saw, not what the client says."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis.rpc.tokens import ACCESS_COOKIE
from services.identity.handler.cookies import REFRESH_COOKIE
from tests.support import Tokens, eventually

from .conftest import Gateway, raw

if TYPE_CHECKING:
    from .upstream import Upstream

ME = "/v1/accounts/me"
REFRESH = "/v1/sessions:refresh"
SPOOFED = {
    "x-auth-sub": "accounts/victim",
    "x-crafiq-service": "billing",
    "x-envoy-external-address": "10.0.0.1",
    "x-envoy-internal": "true",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-retry-on": "5xx",
    "x-envoy-original-path": "/elsewhere",
    "x-forwarded-for": "10.0.0.1, 10.0.0.2",
    "x-forwarded-proto": "https",
    "x-forwarded-client-cert": "URI=spiffe://crafiq/svc/billing",
    "x-real-ip": "10.0.0.1",
    "forwarded": "for=10.0.0.1",
    "x-request-id": "chosen-by-me",
    "traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
    "tracestate": "a=b",
    "baggage": "a=b",
    "grpc-timeout": "1n",
    "grpc-encoding": "gzip",
    "grpc-status-details-bin": "AAAA",
    "anything-bin": "not base64 at all!",
}


@pytest.mark.promise("8-least-priv")
async def test_headers_that_only_we_may_set_are_dropped(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    async with http.get(ME, headers={**somebody, **SPOOFED}) as answer:
        assert answer.status == 200
    (call,) = upstream.reached
    arrived = {name: call.all_of(name) for name in SPOOFED if call.all_of(name)}
    own = arrived.pop("x-forwarded-for")
    assert own == arrived.pop("x-envoy-external-address")
    assert own[0].startswith("127.0.")
    assert arrived.pop("x-forwarded-proto") == ["http"]
    assert arrived.pop("x-request-id") != ["chosen-by-me"]
    assert arrived == {}


@pytest.mark.parametrize("name", ["x_auth_sub", "x_forwarded_for"])
async def test_a_header_with_an_underscore_is_refused(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream, name: str
) -> None:
    async with http.get(ME, headers={**somebody, name: "x"}) as answer:
        assert answer.status == 400
    assert upstream.reached == []


async def test_headers_that_grpc_can_not_carry_are_dropped(
    gateway: Gateway, somebody: dict[str, str], upstream: Upstream
) -> None:
    """HTTP allows these characters in a name; gRPC answers them with an internal error."""
    odd = "".join(f"x{sign}: 1\r\n{sign}x: 1\r\n" for sign in "!#$%&'*+^`|~")
    bearer = f"authorization: {somebody['Authorization']}\r\n"
    request = f"GET {ME} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{bearer}{odd}x.y-z: 1\r\n\r\n"
    assert (await raw(gateway, request.encode())).startswith(b"HTTP/1.1 200")
    (call,) = upstream.reached
    assert call.all_of("x.y-z") == ["1"]
    assert not [name for name in call.metadata if "x" in name[:2] and name[-1] in "!#$%&'*+^`|~"]


async def test_a_refusal_before_there_is_a_request_id_has_none(gateway: Gateway) -> None:
    answer = await raw(gateway, b"GET / HTTP/1.1\r\nhost: x\r\nx_y: 1\r\nconnection: close\r\n\r\n")
    metadata = json.loads(answer.partition(b"\r\n\r\n")[2])["details"][0]["metadata"]
    assert all(isinstance(value, str) for value in metadata.values())


async def test_the_token_is_forwarded_and_the_call_has_a_deadline(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    async def arrived() -> bool:
        """Whether all ten seconds were left but for the moment that the way takes."""
        upstream.reached.clear()
        async with http.get(ME, headers=somebody) as answer:
            assert answer.status == 200
        (call,) = upstream.reached
        assert call.all_of("authorization") == [somebody["Authorization"]]
        assert call.deadline is not None
        assert call.deadline <= 10
        return call.deadline > 8

    await eventually(arrived)


async def test_a_cookie_is_as_good_as_a_bearer_token(http: aiohttp.ClientSession, upstream: Upstream) -> None:
    cookie = f"{ACCESS_COOKIE}={upstream.tokens.access(uuid4())}"
    async with http.get(ME, headers={"Cookie": cookie}) as answer:
        assert answer.status == 200
    (call,) = upstream.reached
    assert call.all_of("cookie") == [cookie]


def _bad_tokens(good: Tokens) -> dict[str, str]:
    head, body, signature = good.access(uuid4()).split(".")
    none = "eyJhbGciOiJub25lIn0"
    claims = {"iss": "crafiq-identity", "aud": "crafiq", "sub": "accounts/x", "exp": 4_000_000_000}
    header = {"alg": "ES256", "kid": "test"}
    return {
        "expired": good.access(uuid4(), lives=timedelta(minutes=-10)),
        "signed by another": Tokens().access(uuid4()),
        "unsigned": f"{none}.{body}.",
        "cut": f"{head}.{body}.{signature[:-8]}",
        "not a token": "hello",
        "another audience": jwt.encode(header, claims | {"aud": "elsewhere"}, good.key),
        "another issuer": jwt.encode(header, claims | {"iss": "elsewhere"}, good.key),
        "unknown key": jwt.encode(header | {"kid": "x"}, claims, ECKey.generate_key("P-256")),
    }


@pytest.mark.parametrize("kind", _bad_tokens(Tokens()))
async def test_a_bad_token_signs_nobody_in_but_spoils_no_public_call(
    http: aiohttp.ClientSession, upstream: Upstream, kind: str
) -> None:
    token = _bad_tokens(upstream.tokens)[kind]
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"{ACCESS_COOKIE}={token}"}):
        async with http.get(ME, headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="crafiq"'
            assert (await answer.json())["details"][0]["reason"] == "SIGN_IN_REQUIRED"
        async with http.get("/v1/models", headers=headers) as answer:
            assert answer.status == 200
    assert {call.method for call in upstream.reached} == {"ListModels"}


async def test_a_stale_cookie_does_not_spoil_a_good_token(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    stale = upstream.tokens.access(uuid4(), lives=timedelta(minutes=-10))
    async with http.get(ME, headers={**somebody, "Cookie": f"{ACCESS_COOKIE}={stale}"}) as answer:
        assert answer.status == 200


async def test_keys_are_served_as_they_are(http: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with http.get("/.well-known/jwks.json") as answer:
        assert answer.content_type == "application/jwk-set+json"
        assert json.loads(await answer.read()) == json.loads(await upstream.tokens.jwks())


async def test_signing_in_sets_both_cookies_and_they_sign_in(gateway: Gateway, upstream: Upstream) -> None:
    """Over TLS with the development certificate: HTTP libraries keep Secure cookies only there."""
    connector = aiohttp.TCPConnector(ssl=gateway.tls)
    async with aiohttp.ClientSession(gateway.tls_url, connector=connector) as browser:
        async with browser.post("/v1/sessions", json={"email": "a@b.example", "password": "x"}) as answer:
            assert answer.status == 200
            set_cookies = answer.headers.getall("Set-Cookie")
        # Each path on which the refresh token is read has a cookie of its own.
        assert [c.split("=")[0] for c in set_cookies] == [ACCESS_COOKIE, REFRESH_COOKIE, REFRESH_COOKIE]
        async with browser.get(ME) as answer:
            assert answer.status == 200
        async with browser.post(REFRESH, json={}, headers={"Origin": gateway.tls_url}) as answer:
            assert answer.status == 200
    me, refresh = upstream.reached[-2:]
    assert me.all_of("x-forwarded-proto") == ["https"]
    assert REFRESH_COOKIE not in me.all_of("cookie")[0]
    assert f"{REFRESH_COOKIE}=opaque" in refresh.all_of("cookie")[0]
