"""connect-web in Node, as the web app calls: typed messages, typed errors, streams."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.clients.node import Node

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Gateway
    from tests.integration.gateway.upstream import Upstream

ASSETS = "crafiq.assets.v1.AssetsService"
GENERATION = "crafiq.generation.v1.GenerationService"
# The first run installs packages from npm.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_a_call_that_needs_nobody(node: Node, gateway: Gateway, upstream: Upstream) -> None:
    seen = await node.call(gateway.url, f"{GENERATION}/ListModels", {})
    assert (seen["messages"], seen["fault"]) == ([{}], None)
    assert seen["headers"]["content-type"].startswith("application/grpc-web")
    assert [call.method for call in upstream.reached] == ["ListModels"]


async def test_a_call_with_a_bearer_token_and_a_message_of_both_sides(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    request = {"task": "TEXT_TO_IMAGE", "prompt": "Käfer, 甲虫, 🪲", "count": 2}
    seen = await node.call(gateway.url, f"{GENERATION}/CreateGeneration", request, headers=somebody)
    assert seen["messages"] == [{"name": "generations/one", "prompt": request["prompt"]}]
    (call,) = upstream.reached
    assert (call.request.prompt, call.request.count) == (request["prompt"], 2)
    assert call.all_of("authorization") == [somebody["Authorization"]]


async def test_64_bit_numbers_arrive_whole(node: Node, gateway: Gateway, somebody: dict[str, str]) -> None:
    seen = await node.call(gateway.url, f"{ASSETS}/GetAsset", {"name": "assets/a1"}, headers=somebody)
    assert seen["messages"][0]["sizeBytes"] == "9007199254740993"


@pytest.mark.promise("8-tls")
async def test_over_tls_as_well(node: Node, gateway: Gateway, somebody: dict[str, str]) -> None:
    authority = str(gateway.folder.parent / "tls" / "gateway" / "ca.crt")
    request = {"name": "assets/a1"}
    seen = await node.call(
        gateway.tls_url, f"{ASSETS}/GetAsset", request, headers=somebody, authority=authority
    )
    assert seen["messages"][0]["name"] == "assets/a1"


async def test_a_refusal_is_a_typed_error_with_its_details(
    node: Node, gateway: Gateway, somebody: dict[str, str]
) -> None:
    seen = await node.call(gateway.url, f"{ASSETS}/GetAsset", {"name": "assets/none"}, headers=somebody)
    info = {
        "type": "google.rpc.ErrorInfo",
        "reason": "ASSET_NOT_FOUND",
        "domain": "crafiq.assets",
        "metadata": {"asset": "assets/none"},
    }
    assert seen["fault"] == {
        "code": "NotFound",
        "message": "There is no asset assets/none.",
        "details": [info],
    }


@pytest.mark.promise("3-authenticate", "8-least-priv")
async def test_nobody_is_told_to_sign_in(node: Node, gateway: Gateway, upstream: Upstream) -> None:
    seen = await node.call(gateway.url, f"{ASSETS}/GetAsset", {"name": "assets/a1"})
    assert seen["fault"]["code"] == "Unauthenticated"
    assert upstream.reached == []


@pytest.mark.promise("8-least-priv")
async def test_what_is_for_services_is_not_there(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    seen = await node.call(gateway.url, f"{ASSETS}/CheckInputs", {"account": "accounts/x"}, headers=somebody)
    assert seen["fault"]["code"] in {"NotFound", "Unimplemented"}
    assert upstream.reached == []


async def test_a_stream_arrives_and_can_be_left(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    upstream.go_on.set()
    request = {"name": "generations/g1"}
    seen = await node.call(gateway.url, f"{GENERATION}/WatchGeneration", request, headers=somebody, most=3)
    events = [base64.b64decode(message["data"]) for message in seen["messages"]]
    assert [event.split(b"\n")[0] for event in events] == [b"id: 1", b"id: 2", b": heartbeat"]
    await upstream.stream_ended.wait()


async def test_a_typed_stream_brings_each_state_as_a_message(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    upstream.go_on.set()
    request = {"name": "generations/g1", "afterSeq": 1}
    seen = await node.call(gateway.url, f"{GENERATION}/StreamGeneration", request, headers=somebody)
    assert [message["state"] for message in seen["messages"]] == ["RUNNING", "SUCCEEDED"]
    assert seen["fault"] is None
    (call,) = upstream.reached
    assert call.request.after_seq == 1
