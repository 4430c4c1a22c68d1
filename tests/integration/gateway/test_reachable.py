"""What the protos offer outside is reachable, and nothing else, however it is spelled."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc
from crafiq.generation.v1 import generation_pb2
from crafiq.identity.v1 import identity_pb2
from google.protobuf.empty_pb2 import Empty

from cli import grpc_web

from .conftest import Gateway, raw

if TYPE_CHECKING:
    import aiohttp

    from .upstream import Upstream

ROOT = Path(__file__).resolve().parents[3]
TABLE: list[dict[str, Any]] = json.loads((ROOT / "deploy/gateway/routes.json").read_text())
HIDDEN = [
    "/crafiq.assets.v1.AssetsService/CheckInputs",
    "/crafiq.assets.v1.AssetsService/OpenInput",
    "/crafiq.identity.v1.IdentityService/BatchGetPublicProfiles",
    "/crafiq.billing.v1.BillingService/PlaceHold",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
]


def _example(template: str) -> str:
    return re.sub(r"\{[^=]+=([a-z]+)/\*\}", r"\1/x", template)


@pytest.mark.promise("8-least-priv")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['method']} {row['template'] or row['rpc']}")
async def test_every_call_that_needs_a_person_refuses_nobody_at_the_gateway(
    http: aiohttp.ClientSession, upstream: Upstream, row: dict[str, Any]
) -> None:
    if row["method"] is None:  # as gRPC-Web only
        status = (await grpc_web.call(http, f"/{row['rpc']}", Empty())).status
    else:
        async with http.request(row["method"], _example(row["template"]), json={}) as answer:
            status = answer.status
    if row["audience"] == "PUBLIC":
        assert status not in {401, 403, 404}
    else:
        assert status == 401
        assert upstream.reached == []


@pytest.mark.promise("8-least-priv")
@pytest.mark.parametrize("path", HIDDEN)
async def test_hidden_rpcs_do_not_exist_as_grpc_web_or_json(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream, path: str
) -> None:
    answer = await grpc_web.call(http, path, Empty(), somebody)
    assert answer.status == 404
    for method in ("GET", "POST"):
        async with http.request(method, path, json={}, headers=somebody) as refused:
            assert refused.status == 404
    assert upstream.reached == []


@pytest.mark.promise("8-least-priv")
@pytest.mark.parametrize(
    "path",
    [
        "/v1/assets/a1:secret",
        "/v1/assets/a1:checkInputs",
        "/v1/assets:checkInputs",
        "/v1/assets/a1/",
        "/v1/assets/a1/b2",
        "/v1/assets/",
        "/V1/assets/a1",
        "/v1/assets/a1:download:download",
        "/v1/{name=assets/*}",
        "/v2/assets/a1",
        "/v1",
        "/",
        "/stats",
        "/config_dump",
    ],
)
async def test_paths_that_are_nearly_right_are_not_found(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream, path: str
) -> None:
    async with http.get(path, headers=somebody) as answer:
        assert answer.status == 404
        body = await answer.json()
    assert (body["code"], body["details"][0]["reason"]) == (5, "NO_SUCH_CALL")
    assert upstream.reached == []


@pytest.mark.parametrize(
    "path",
    ["//v1//assets//a1", "/v1/nothing/../assets/a1", "/v1/./assets/a1", "/%761/assets/a1", "/v1/assets/a%31"],
)
async def test_other_spellings_of_a_path_need_the_same_token(
    gateway: Gateway, upstream: Upstream, path: str
) -> None:
    answer = await raw(gateway, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in {b"401", b"404"}
    assert upstream.reached == []


async def test_a_colon_in_disguise_chooses_no_other_rpc(
    gateway: Gateway, somebody: dict[str, str], upstream: Upstream
) -> None:
    head = (
        f"GET /v1/assets/x%3Adownload HTTP/1.1\r\nhost: x\r\nauthorization: {somebody['Authorization']}\r\n"
    )
    await raw(gateway, f"{head}connection: close\r\n\r\n".encode())
    assert [call.method for call in upstream.reached] in ([], ["GetAsset"])


async def test_a_slash_in_disguise_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    request = b"GET /v1/assets%2Fa1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert (await raw(gateway, request)).startswith(b"HTTP/1.1 400")
    assert upstream.reached == []


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_another_method_is_not_found(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream, method: str
) -> None:
    async with http.request(method, "/v1/models", headers=somebody) as answer:
        assert answer.status == 404
    assert upstream.reached == []


async def test_native_grpc_is_refused(gateway: Gateway, somebody: dict[str, str], upstream: Upstream) -> None:
    metadata = (("authorization", somebody["Authorization"]),)
    async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        stub = assets_pb2_grpc.AssetsServiceStub(channel)
        for request, method in (
            (assets_pb2.GetAssetRequest(name="assets/a1"), stub.GetAsset),
            (assets_pb2.CheckInputsRequest(), stub.CheckInputs),
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                await method(request, metadata=metadata, timeout=5)
    assert upstream.reached == []


async def test_grpc_web_reaches_what_is_outside(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    path = "/crafiq.assets.v1.AssetsService/GetAsset"
    request = assets_pb2.GetAssetRequest(name="assets/a1")
    assert (await grpc_web.call(http, path, request)).status == 401
    answer = await grpc_web.call(http, path, request, somebody)
    assert assets_pb2.Asset.FromString(answer.messages[0]).name == "assets/a1"
    assert answer.trailers["grpc-status"] == "0"
    missing = assets_pb2.GetAssetRequest(name="assets/none")
    assert (await grpc_web.call(http, path, missing, somebody)).trailers["grpc-status"] == "5"
    assert [call.method for call in upstream.reached] == ["GetAsset", "GetAsset"]


async def test_a_typed_stream_is_there_as_grpc_web_only(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    upstream.go_on.set()
    path = "/crafiq.generation.v1.GenerationService/StreamGeneration"
    request = generation_pb2.StreamGenerationRequest(name="generations/g1")
    answer = await grpc_web.call(http, path, request, somebody)
    states = [generation_pb2.Generation.FromString(message).state for message in answer.messages]
    assert states == [generation_pb2.RUNNING, generation_pb2.SUCCEEDED]
    assert answer.trailers["grpc-status"] == "0"
    async with http.get("/v1/generations/g1:stream", headers=somebody) as as_json:
        assert as_json.status == 404


async def test_path_query_and_body_become_one_request(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    async with http.patch(
        "/v1/assets/a1?updateMask=title", json={"title": "new", "unknown": 1}, headers=somebody
    ) as answer:
        assert (await answer.json())["title"] == "new"
    (call,) = upstream.reached
    assert call.request.asset.name == "assets/a1"
    assert list(call.request.update_mask.paths) == ["title"]


async def test_a_service_with_another_name_in_its_certificate_is_not_spoken_to(
    http: aiohttp.ClientSession, somebody: dict[str, str], upstream: Upstream
) -> None:
    async with http.get("/v1/billing/balance", headers=somebody) as answer:
        assert answer.status == 503
        assert (await answer.json())["details"][0]["reason"] == "SERVICE_UNAVAILABLE"
    assert upstream.reached == []


def test_the_hidden_messages_are_not_even_named(gateway: Gateway) -> None:
    known = (gateway.folder / "transcoding.binpb").read_bytes()
    assert b"GetAsset" in known
    assert b"BatchGetPublicProfiles\x12" not in known
    assert identity_pb2.DESCRIPTOR.services_by_name["IdentityService"].methods_by_name[
        "BatchGetPublicProfiles"
    ]


def test_nobody_else_is_given_a_share_of_its_connections(gateway: Gateway) -> None:
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="Address already in use"):
            another.bind(("127.0.0.1", gateway.port))
