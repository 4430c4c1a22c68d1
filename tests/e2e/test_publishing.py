"""What is public, through the gateway: everyone reads it, and it outlives the asset it was made of."""

from __future__ import annotations

import secrets
import uuid

import aiohttp
import pytest

from cli.api import Api
from tests.e2e.conftest import Join
from tests.running import Running


@pytest.mark.promise("5-public-permanent", "5-public-username", "9-public-remains", "9-delete-item")
async def test_a_public_work_is_read_by_everyone_and_outlives_its_asset(
    platform: Running, join: Join, photo: bytes, http: aiohttp.ClientSession
) -> None:
    username = f"ada{secrets.token_hex(4)}"
    person = await join(username=username)
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    wish = {"confirm": True, "attribution": "NAMED", "requestId": str(uuid.uuid4())}
    made = await person.api.post(f"/v1/{asset['name']}:publish", **wish)
    assert made["username"] == username

    stranger = Api(http, platform.gateway)
    shown = await stranger.get(f"/v1/{made['name']}")
    assert (shown["username"], shown["sha256"], shown["mine"]) == (username, asset["sha256"], False)
    url = shown["renditions"][0]["url"]
    assert url.startswith(f"{platform.gateway}/public/")
    stored = await person.download(asset["name"])
    async with http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, stored)
        assert answer.headers["cache-control"] == "public, max-age=300"

    receipt = (await person.api.call("DELETE", f"/v1/{asset['name']}"))["receipt"]
    assert receipt["publication"] == made["name"]
    assert (await stranger.get(f"/v1/{made['name']}"))["username"] == ""
    async with http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, stored)
