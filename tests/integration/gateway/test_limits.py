"""How much one caller may take of us."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from crafiq.identity.v1 import identity_pb2

from cli import grpc_web

from .conftest import Gateway, raw

if TYPE_CHECKING:
    import aiohttp

    from .upstream import Upstream

RESEND, RESENDS = "/v1/accounts:resendVerification", 6
PROVE, PROOFS = "/v1/sessions:reauthenticate", 10
Clients = Callable[[str], "aiohttp.ClientSession"]


async def _statuses(
    client: aiohttp.ClientSession, path: str, times: int, headers: dict[str, str] | None = None
) -> list[int]:
    statuses = []
    for _ in range(times):
        async with client.post(path, json={}, headers=headers) as answer:
            statuses.append(answer.status)
    return statuses


@pytest.mark.promise("8-ratelimit")
async def test_an_address_may_call_so_often_and_others_are_not_affected(client_at: Clients) -> None:
    often, other = client_at("127.1.0.1"), client_at("127.1.0.2")
    assert await _statuses(often, RESEND, RESENDS) == [200] * RESENDS
    async with often.post(RESEND, json={}) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "10"
        body = await answer.json()
        assert (body["code"], body["details"][0]["reason"]) == (8, "TOO_MANY_REQUESTS")
    assert await _statuses(other, RESEND, 1) == [200]
    # Another call of the same address has a limit of its own.
    async with often.get("/v1/models") as answer:
        assert answer.status == 200


@pytest.mark.promise("8-ratelimit")
async def test_saying_another_address_does_not_help(client_at: Clients) -> None:
    client = client_at("127.1.0.3")
    statuses = []
    for n in range(RESENDS + 1):
        statuses += await _statuses(client, RESEND, 1, {"X-Forwarded-For": f"10.0.0.{n}"})
    assert statuses == [200] * RESENDS + [429]


@pytest.mark.promise("8-ratelimit")
async def test_a_person_has_one_limit_wherever_they_are(client_at: Clients, upstream: Upstream) -> None:
    home, train = client_at("127.1.0.4"), client_at("127.1.0.5")
    person = {"Authorization": f"Bearer {upstream.tokens.access(account := uuid4())}"}
    half = PROOFS // 2
    assert await _statuses(home, PROVE, half, person) == [200] * half
    # Another token, another address, the same person.
    again = {"Authorization": f"Bearer {upstream.tokens.access(account)}"}
    assert await _statuses(train, PROVE, half + 1, again) == [200] * half + [429]
    other = {"Authorization": f"Bearer {upstream.tokens.access(uuid4())}"}
    assert await _statuses(train, PROVE, 1, other) == [200]


async def test_json_and_grpc_web_share_one_limit(client_at: Clients) -> None:
    client = client_at("127.1.0.6")
    assert await _statuses(client, RESEND, RESENDS) == [200] * RESENDS
    path = "/crafiq.identity.v1.IdentityService/ResendVerification"
    answer = await grpc_web.call(client, path, identity_pb2.ResendVerificationRequest())
    assert answer.status == 429


async def test_who_guesses_paths_is_slowed(client_at: Clients) -> None:
    client = client_at("127.1.0.7")

    async def guess() -> int:
        async with client.get("/nothing/here") as answer:
            return answer.status

    statuses: list[int] = []
    while 429 not in statuses:  # ten are given back each second, however long a hundred take
        statuses += await asyncio.gather(*(guess() for _ in range(100)))
    assert set(statuses) == {404, 429}
    assert statuses.count(404) >= 600


async def test_a_body_may_be_as_large_as_the_proto_says_and_no_larger(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    async def post(size: int) -> Any:
        text = b'{"prompt":"%s"}' % (b"x" * (size - 13))
        headers = {**somebody, "Content-Type": "application/json"}
        async with http.post("/v1/generations", data=text, headers=headers) as answer:
            return answer.status, await answer.json()

    assert (await post(65_000))[0] == 200
    status, body = await post(65_537)
    assert status == 413
    assert body["details"][0]["reason"] == "BODY_TOO_LARGE"
    assert len(upstream.reached) == 1


async def test_a_body_that_hides_its_size_is_cut_off(gateway: Gateway, upstream: Upstream) -> None:
    head = b"POST /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    answer = await raw(gateway, head + chunk * 5)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"BODY_TOO_LARGE" in answer
    assert upstream.reached == []


async def test_a_large_grpc_web_message_is_refused_too(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    body = struct.pack(">BI", 0, 100_000) + bytes(100_000)
    path = "/crafiq.assets.v1.AssetsService/GetAsset"
    async with http.post(path, data=body, headers={**somebody, **grpc_web.HEADERS}) as answer:
        assert answer.status in {200, 413}
        assert answer.headers.get("grpc-status") == "8" or answer.status == 413
    assert upstream.reached == []


async def test_large_headers_are_refused(http: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with http.get("/v1/models", headers={"X-Large": "x" * 40_000}) as answer:
        assert answer.status == 431
        assert (await answer.json())["details"][0]["reason"] == "HEADERS_TOO_LARGE"
    async with http.get("/v1/models?pageToken=" + "x" * 40_000) as answer:
        assert answer.status == 431
    assert upstream.reached == []
