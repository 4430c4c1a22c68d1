"""Answers: JSON as the protos say, errors in one shape, streams in real time, nothing leaked."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from typing import TYPE_CHECKING
from uuid import uuid4

import aiohttp
import psutil
import pytest
from yarl import URL

from deploy.local.certs import Certificates
from tests.support import eventually

from .conftest import Gateway, raw

if TYPE_CHECKING:
    from .upstream import Upstream


async def test_a_refusal_of_a_service_comes_with_its_reason(
    http: aiohttp.ClientSession, somebody: dict[str, str]
) -> None:
    async with http.get("/v1/assets/none", headers=somebody) as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body["message"] == "There is no asset assets/none."
    assert body["details"][0]["reason"] == "ASSET_NOT_FOUND"
    assert body["details"][0]["metadata"] == {"asset": "assets/none"}


async def test_numbers_and_empty_fields_are_as_proto3_json_has_them(
    http: aiohttp.ClientSession, somebody: dict[str, str]
) -> None:
    async with http.get("/v1/assets/a1", headers=somebody) as answer:
        body = await answer.json()
    assert body["sizeBytes"] == "9007199254740993"
    assert body["title"] == ""
    assert "width" not in body


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v1/generations?surprise=1", "{}"),
        ("/v1/generations", "{not json"),
        ("/v1/generations", '"a text"'),
        ("/v1/generations", '{"count": "many"}'),
        ("/v1/generations", '{"task": "TEXT_TO_SMELL"}'),
        ("/v1/generations", '{"prompt": ["a", "list"]}'),
    ],
)
async def test_what_cannot_be_read_is_a_bad_request(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream, path: str, content: str
) -> None:
    headers = {**somebody, "Content-Type": "application/json"}
    async with http.post(path, data=content, headers=headers) as answer:
        assert answer.status == 400
        body = await answer.json()
    assert (body["code"], body["details"][0]["reason"]) == (3, "REQUEST_INVALID")
    assert body["details"][0]["metadata"]["detail"]
    assert upstream.reached == []


async def test_an_unknown_field_of_a_body_is_ignored(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    """Envoy cannot refuse it: deploy/gateway/README.md says so."""
    async with http.post("/v1/generations", json={"prompt": "x", "promt": "y"}, headers=somebody) as answer:
        assert answer.status == 200


async def test_a_service_that_is_away_is_said_to_be_away(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/policy") as answer:
        assert answer.status == 503
        body = await answer.json()
    assert body["details"][0]["domain"] == "crafiq.gateway"
    assert "try again" in body["message"]


@pytest.mark.parametrize("path", ["/v1/assets/a1", "/healthz", "/nothing", "/v1/accounts/me"])
async def test_every_answer_says_how_browsers_must_treat_it(
    http: aiohttp.ClientSession, somebody: dict[str, str], path: str
) -> None:
    for headers in ({}, somebody):
        async with http.get(path, headers=headers) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers.getall("Content-Security-Policy") == [
                "default-src 'none'; frame-ancestors 'none'"
            ]
            assert "max-age" in answer.headers["Strict-Transport-Security"]
            assert "Server" not in answer.headers
            assert not [name for name in answer.headers if name.lower().startswith("x-envoy")]
            assert answer.content_type == "application/json"


async def test_health_needs_nobody(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "SERVING"})


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_large_answers_are_compressed(
    http: aiohttp.ClientSession, somebody: dict[str, str], coding: str
) -> None:
    headers = {**somebody, "Accept-Encoding": coding}
    async with http.get("/v1/assets", headers=headers, auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == coding
        assert len(await answer.read()) < 1500


async def test_events_arrive_when_they_are_sent(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    headers = {**somebody, "Last-Event-ID": "7", "Accept-Encoding": "br, gzip"}
    async with http.get("/v1/generations/g1:watch", headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        assert "Content-Encoding" not in answer.headers
        lines = answer.content
        assert [await lines.readline() for _ in range(4)] == [
            b"id: 1\n",
            b"event: state\n",
            b"data: {}\n",
            b"\n",
        ]
        # The second one is not sent before the first was read: nothing held it back.
        upstream.go_on.set()
        assert await lines.readline() == b"id: 2\n"
        assert [await lines.readline() for _ in range(4)][-1] == b": heartbeat\n"
        (call,) = upstream.reached
        assert (call.all_of("last-event-id"), call.deadline) == (["7"], None)
    await asyncio.wait_for(upstream.stream_ended.wait(), 20)


@pytest.mark.promise("2b-log-purpose", "2b-log")
async def test_the_log_names_no_person_no_path_and_no_address(
    http: aiohttp.ClientSession, somebody: dict[str, str], gateway: Gateway
) -> None:
    secret = uuid4().hex
    for path in (
        f"/v1/assets/{secret}?pageToken={secret}",
        f"/{secret}",
        f"/v1/accounts:verifyEmail?token={secret}",
    ):
        async with http.get(path, headers={**somebody, "User-Agent": secret, "Referer": secret}) as answer:
            request = (await answer.json()).get("details", [{}])[0].get("metadata", {}).get("requestId")

    def lines() -> list[dict[str, object]]:
        text = gateway.log.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    await eventually(lambda: any(line["request"] == request for line in lines()))
    assert secret not in gateway.log.read_text()
    assert somebody["Authorization"][7:] not in gateway.log.read_text()
    assert {str(line["client"]) for line in lines()} <= {
        f"127.{n}.{m}.0/24" for n in (0, 1) for m in range(250)
    }
    assert {"rpc", "status", "ms", "client", "request"} <= set(lines()[-1])


@pytest.mark.promise("8-least-priv")
async def test_nothing_listens_but_its_doors(gateway: Gateway) -> None:
    listening = [c.laddr for c in psutil.Process(gateway.pid).net_connections("tcp") if c.status == "LISTEN"]
    tls_port = int(gateway.tls_url.rsplit(":", 1)[1])
    assert {port for _, port in listening} == {gateway.port, tls_port, gateway.metrics_port}
    assert {host for host, _ in listening} == {"127.0.0.1"}
    for name in ("admin.sock", "jwks.sock"):
        mode = (gateway.folder / name).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


async def test_admin_answers_on_its_socket_to_our_own_user(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_unix_connection(gateway.folder / "admin.sock")
    writer.write(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"LIVE" in await reader.read()
    writer.close()


async def test_figures_are_for_who_has_a_certificate_of_ours(
    gateway: Gateway, certificates: Certificates
) -> None:
    ca, mine = certificates.folder("gateway") / "ca.crt", certificates.folder("prometheus")
    url = f"https://localhost:{gateway.metrics_port}"
    stranger, known = (ssl.create_default_context(cafile=str(ca)) for _ in range(2))
    known.load_cert_chain(mine / "tls.crt", mine / "tls.key")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=known)) as http:
        async with http.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            assert "envoy_http_downstream_rq_xx" in await answer.text()
        for path in ("/quitquitquit", "/config_dump", "/stats", "/metrics/../config_dump"):
            async with http.post(URL(url + path, encoded=True)) as answer:
                assert answer.status == 404
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=stranger)) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{url}/metrics")


async def test_what_is_no_http_gets_a_bad_request(gateway: Gateway) -> None:
    assert (await raw(gateway, b"HELLO\r\n\r\n")).startswith(b"HTTP/1.1 400")
