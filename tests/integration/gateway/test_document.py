"""The public document at its address, and the gateway's answers held against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import PAGE

if TYPE_CHECKING:
    import aiohttp

    from .upstream import Upstream

ROOT = Path(__file__).resolve().parents[3]
COMMITTED: dict[str, Any] = json.loads((ROOT / "deploy" / "gateway" / "openapi.json").read_text())
Clients = Callable[[str], "aiohttp.ClientSession"]


def _faults(path: str, method: str, status: int, value: Any) -> list[str]:
    responses = COMMITTED["paths"][path][method]["responses"]
    response = responses.get(str(status), responses["default"])
    if "$ref" in response:
        response = COMMITTED["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response["content"]["application/json"]["schema"]
    checker = Draft202012Validator({**schema, "components": COMMITTED["components"]})
    return [fault.message for fault in checker.iter_errors(value)]


async def test_the_document_is_served_whole_and_to_everyone(http: aiohttp.ClientSession) -> None:
    for headers in ({}, {"Origin": "https://anyone.example"}, {"Authorization": "Bearer nonsense"}):
        async with http.get("/openapi.json", headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Cache-Control"] == "public, max-age=300"
            assert answer.headers["Content-Encoding"]
            assert await answer.json() == COMMITTED


async def test_a_page_of_ours_may_read_it_too(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json", headers={"Origin": PAGE}) as answer:
        assert answer.headers.getall("Access-Control-Allow-Origin") in (["*"], [PAGE])


@pytest.mark.parametrize(
    ("method", "path", "address", "body"),
    [
        ("get", "/v1/assets/{asset}", "/v1/assets/a1", None),
        ("get", "/v1/assets", "/v1/assets", None),
        ("patch", "/v1/assets/{asset}", "/v1/assets/a1?updateMask=title", {"title": "new"}),
        ("get", "/v1/assets/{asset}:download", "/v1/assets/a1:download", None),
        ("get", "/v1/models", "/v1/models", None),
        ("post", "/v1/generations", "/v1/generations", {"prompt": "x"}),
        ("post", "/v1/sessions", "/v1/sessions", {"email": "a@b.example", "password": "x"}),
        ("get", "/v1/accounts/me", "/v1/accounts/me", None),
        ("post", "/v1/sessions:signOut", "/v1/sessions:signOut", {}),
        ("get", "/healthz", "/healthz", None),
    ],
)
async def test_answers_are_as_documented(
    http: aiohttp.ClientSession, somebody: dict[str, str], method: str, path: str, address: str, body: Any
) -> None:
    async with http.request(method, address, json=body, headers=somebody) as answer:
        assert answer.status == 200
        assert "X-Request-Id" in answer.headers
        assert _faults(path, method, 200, await answer.json()) == []


@pytest.mark.parametrize(
    ("status", "call", "address", "body"),
    [
        (400, "post /v1/generations", "/v1/generations", b"{not json"),
        (400, "get /v1/assets", "/v1/assets?surprise=1", None),
        (401, "get /v1/assets", "/v1/assets", None),
        (404, "get /v1/assets/{asset}", "/v1/assets/none", None),
        (413, "post /v1/generations", "/v1/generations", b" " * 70_000),
        (503, "get /v1/policy", "/v1/policy", None),
    ],
)
async def test_failures_are_as_documented(
    http: aiohttp.ClientSession, somebody: dict[str, str], status: int, call: str, address: str, body: Any
) -> None:
    method, path = call.split(" ")
    headers = {} if status == 401 else somebody
    async with http.request(method, address, data=body, headers=headers) as answer:
        assert answer.status == status
        assert str(status) in COMMITTED["paths"][path][method]["responses"]
        assert _faults(path, method, status, await answer.json()) == []


async def test_too_many_calls_are_refused_as_documented(client_at: Clients, upstream: Upstream) -> None:
    client, path = client_at("127.1.0.9"), "/v1/accounts:resendVerification"
    for _ in range(6):
        await client.post(path, json={})
    async with client.post(path, json={}) as answer:
        assert (answer.status, answer.headers["Retry-After"].isdigit()) == (429, True)
        assert _faults(path, "post", 429, await answer.json()) == []
