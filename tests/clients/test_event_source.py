"""An EventSource, as browsers have it: it comes back by itself and says where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from chassis.rpc.tokens import ACCESS_COOKIE
from tests.clients.node import Node

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Gateway
    from tests.integration.gateway.upstream import Upstream

# The first run installs packages from npm.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_it_comes_back_after_the_last_event_that_it_saw(
    node: Node, gateway: Gateway, upstream: Upstream
) -> None:
    """With the session's cookie, which is all that a browser's EventSource can send."""
    cookie = {"Cookie": f"{ACCESS_COOKIE}={upstream.tokens.access(uuid4())}"}
    seen = await node.watch(f"{gateway.url}/v1/generations/breaks:watch", cookie, ["3"])
    assert [event["id"] for event in seen["events"]] == ["1", "2", "3"]
    assert seen["connections"] == [None, "1", "2"]
    assert [call.all_of("last-event-id") for call in upstream.reached] == [[], ["1"], ["2"]]


async def test_it_stays_while_nothing_happens(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    upstream.go_on.set()
    seen = await node.watch(f"{gateway.url}/v1/generations/g1:watch", somebody, ["2"])
    assert [event["id"] for event in seen["events"]] == ["1", "2"]
    assert seen["connections"] == [None]
    await upstream.stream_ended.wait()


async def test_a_cable_that_is_pulled_loses_nothing(
    node: Node, gateway: Gateway, upstream: Upstream, somebody: dict[str, str]
) -> None:
    url = f"{gateway.url}/v1/generations/waits:watch"
    seen = await node.watch(url, somebody, ["3"], cut=True)
    assert [event["id"] for event in seen["events"]] == ["1", "2", "3"]
    assert seen["connections"] == [None, "1", "2"]


@pytest.mark.promise("3-authenticate", "8-least-priv")
async def test_who_is_not_signed_in_is_refused_once_and_for_all(
    node: Node, gateway: Gateway, upstream: Upstream
) -> None:
    seen = await node.watch(f"{gateway.url}/v1/generations/g1:watch", {}, ["never"])
    assert (seen["status"], seen["connections"]) == (401, [None])
    assert upstream.reached == []
