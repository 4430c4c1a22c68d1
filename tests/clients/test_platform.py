"""The same clients in front of the whole platform: an order, watched by an EventSource that is cut off."""

from __future__ import annotations

import json
from uuid import uuid4

import aiohttp
import pytest

from tests.clients.node import Node
from tests.clients.test_curl import CURL, curl
from tests.e2e.conftest import Join, slow_down
from tests.personal import used
from tests.running import Running

GENERATION = "crafiq.generation.v1.GenerationService"
ENDED = ["SUCCEEDED", "FAILED", "CANCELLED"]
# The first run installs packages from npm.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.promise("3-generate")
async def test_an_event_source_sees_every_state_whatever_the_network_does(
    platform: Running, join: Join, node: Node, http: aiohttp.ClientSession
) -> None:
    """Cut off after each event, it has all of them in the end, and each of them once."""
    person = await join()
    prompt = used(f"a copper kettle, {uuid4()}", "prompt")
    # EventSource comes back after three seconds; the job is to end later than that.
    await slow_down(platform, http, prompt, seconds=5)
    order = await person.order(prompt)
    url = f"{platform.gateway}/v1/{order['name']}:watch"
    bearer = {"Authorization": f"Bearer {person.access_token}"}
    seen = await node.watch(url, bearer, ENDED, cut=True)
    assert seen["events"][-1]["data"]["state"] == "SUCCEEDED"
    numbers = [int(event["id"]) for event in seen["events"]]
    assert numbers == list(range(1, len(numbers) + 1))
    first, *later = seen["connections"]
    assert first is None
    assert later
    assert {int(number) for number in later} <= set(numbers[:-1])


@pytest.mark.promise("3-generate")
async def test_connect_web_orders_watches_and_reads(platform: Running, join: Join, node: Node) -> None:
    person = await join()
    headers = {"Authorization": f"Bearer {person.access_token}"}
    prompt = used(f"a copper kettle, {uuid4()}", "prompt")
    request = {"task": "TEXT_TO_IMAGE", "prompt": prompt, "requestId": str(uuid4())}
    ordered = await node.call(platform.gateway, f"{GENERATION}/CreateGeneration", request, headers=headers)
    name = {"name": ordered["messages"][0]["name"]}
    watched = await node.call(platform.gateway, f"{GENERATION}/WatchGeneration", name, headers=headers)
    assert watched["fault"] is None
    streamed = await node.call(platform.gateway, f"{GENERATION}/StreamGeneration", name, headers=headers)
    assert streamed["fault"] is None
    assert [message["name"] for message in streamed["messages"]] == [name["name"]] * len(streamed["messages"])
    assert streamed["messages"][-1]["state"] == "SUCCEEDED"
    done = await node.call(platform.gateway, f"{GENERATION}/GetGeneration", name, headers=headers)
    assert done["messages"][0]["state"] == "SUCCEEDED"
    assert len(done["messages"][0]["outputAssets"]) == 1


async def test_connect_web_gets_a_services_refusal_with_all_its_details(
    platform: Running, join: Join, node: Node
) -> None:
    person = await join()
    headers = {"Authorization": f"Bearer {person.access_token}"}
    bad = {"task": "TEXT_TO_IMAGE", "prompt": "x", "count": 99, "requestId": "none"}
    seen = await node.call(platform.gateway, f"{GENERATION}/CreateGeneration", bad, headers=headers)
    assert seen["fault"]["code"] == "InvalidArgument"
    by_type = {detail["type"]: detail for detail in seen["fault"]["details"]}
    assert by_type["google.rpc.ErrorInfo"]["reason"] == "INVALID_REQUEST"
    fields = {each["field"] for each in by_type["google.rpc.BadRequest"]["fieldViolations"]}
    assert fields == {"count", "requestId"}


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
async def test_curl_does_what_the_readme_says(platform: Running) -> None:
    content, status = await curl(f"{platform.gateway}/v1/models")
    assert status == "200 1.1 application/json"
    assert json.loads(content)["models"][0]["name"].startswith("models/")
