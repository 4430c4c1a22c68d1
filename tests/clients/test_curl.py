"""curl, the client of everyone who reads the documentation."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Gateway
    from tests.integration.gateway.upstream import Upstream

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
SHOW_STATUS = ("--write-out", "\n%{http_code} %{http_version} %{content_type}")


async def curl(*arguments: str) -> tuple[str, str]:
    """What came, and in the last line the status, the version of HTTP and the content type."""
    assert CURL is not None
    process = await asyncio.create_subprocess_exec(
        CURL, "--silent", "--show-error", "--max-time", "10", *SHOW_STATUS, *arguments, env={},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    content, _, status = out.decode().rpartition("\n")
    return content, status


def _bearer(somebody: dict[str, str]) -> tuple[str, str]:
    return "--header", f"Authorization: {somebody['Authorization']}"


async def test_a_call_that_needs_nobody(gateway: Gateway, upstream: Upstream) -> None:
    content, status = await curl(f"{gateway.url}/v1/models")
    assert status == "200 1.1 application/json"
    assert json.loads(content) == {"models": []}


async def test_an_order_with_a_token(gateway: Gateway, upstream: Upstream, somebody: dict[str, str]) -> None:
    url, order = f"{gateway.url}/v1/generations", {"task": "TEXT_TO_IMAGE", "prompt": "a kettle"}
    content, status = await curl(*_bearer(somebody), "--json", json.dumps(order), url)
    assert (status.split()[0], json.loads(content)["prompt"]) == ("200", "a kettle")


@pytest.mark.promise("8-least-priv")
async def test_a_refusal_says_what_to_do(gateway: Gateway, somebody: dict[str, str]) -> None:
    content, status = await curl(f"{gateway.url}/v1/assets/a1")
    assert status == "401 1.1 application/json"
    assert json.loads(content)["message"].startswith("Sign in first")
    content, status = await curl(*_bearer(somebody), f"{gateway.url}/v1/assets/none")
    assert (status.split()[0], json.loads(content)["details"][0]["reason"]) == ("404", "ASSET_NOT_FOUND")


@pytest.mark.promise("8-tls")
@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_over_tls_with_every_version_of_http(
    gateway: Gateway, somebody: dict[str, str], version: str
) -> None:
    authority = gateway.folder.parent / "tls" / "gateway" / "ca.crt"
    trusted = ("--cacert", str(authority), f"--http{version}", "--compressed")
    content, status = await curl(*_bearer(somebody), *trusted, f"{gateway.tls_url}/v1/assets")
    assert status == f"200 {version} application/json"
    assert len(json.loads(content)["assets"]) == 50


async def test_http_2_in_clear_text(gateway: Gateway) -> None:
    _, status = await curl("--http2-prior-knowledge", f"{gateway.url}/healthz")
    assert status == "200 2 application/json"


async def test_a_stream_as_it_comes(gateway: Gateway, upstream: Upstream, somebody: dict[str, str]) -> None:
    upstream.go_on.set()
    url = f"{gateway.url}/v1/generations/breaks:watch"
    content, status = await curl("--no-buffer", *_bearer(somebody), "--header", "Last-Event-ID: 6", url)
    assert status == "200 1.1 text/event-stream"
    assert content == "retry: 20\nid: 7\nevent: state\ndata: {}\n\n"


async def test_the_document(gateway: Gateway) -> None:
    content, status = await curl("--compressed", f"{gateway.url}/openapi.json")
    assert status == "200 1.1 application/json"
    document: dict[str, Any] = json.loads(content)
    assert document["openapi"].startswith("3.1")
