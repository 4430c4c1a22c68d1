"""The main job through the gateway, as people do it."""

from __future__ import annotations

import asyncio
import io
import uuid
from typing import Any

import aiohttp
import pytest
from PIL import Image

from cli.api import Api, ApiRefused, Json
from tests.e2e.conftest import Join, Person
from tests.running import Running
from tests.support import eventually

GPS_TAG = 0x8825
ARTIST_TAG = 0x013B


@pytest.mark.promise("2a-input-media", "3-generate", "3-transactions", "6-core", "5-egress-log")
async def test_a_photo_becomes_pictures_that_are_paid_for(join: Join, photo: bytes) -> None:
    person = await join()
    before = await person.balance()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    stored = await person.download(asset["name"])
    original = Image.open(io.BytesIO(photo))
    assert original.getexif().get(ARTIST_TAG)
    assert not dict(Image.open(io.BytesIO(stored)).getexif())
    assert Image.open(io.BytesIO(stored)).tobytes() == original.tobytes()

    order = await person.order("a copper kettle", inputAssets=[asset["name"]], count=2)
    assert order["state"] in {"QUEUED", "RUNNING"}
    done = await person.finished(order["name"])
    assert done["state"] == "SUCCEEDED"
    assert len(done["outputAssets"]) == 2
    for name in done["outputAssets"]:
        Image.open(io.BytesIO(await person.download(name))).verify()

    egress = (await person.api.get(f"/v1/{order['name']}/egress"))["egress"]
    assert [entry["assets"] for entry in egress] == [[asset["name"]]]
    assert "prompt" in egress[0]["fields"]
    balance = await _settled(person)
    assert balance == {
        "available": before["available"] - order["quotedCredits"],
        "held": 0,
        "settled": order["quotedCredits"],
    }


async def _settled(person: Person) -> Json:
    async def settled() -> Json | None:
        balance = await person.balance()
        return None if balance["held"] else balance

    return await eventually(settled, timeout=30, every=0.05)


@pytest.mark.promise("2a-input-media")
async def test_no_vendor_ever_received_metadata_of_a_photo(
    platform: Running, join: Join, photo: bytes, http: aiohttp.ClientSession
) -> None:
    person = await join()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    marker = f"marker-{uuid.uuid4()}"
    order = await person.order(marker, inputAssets=[asset["name"]])
    assert (await person.finished(order["name"]))["state"] == "SUCCEEDED"
    received = [r for r in await _received(platform, http) if r["prompt"] == marker]
    assert [[f["hasMetadata"] for f in r["files"]] for r in received] == [[False]]
    names = {"authorization", "content-type", "content-length", "host", "accept", "accept-encoding"}
    assert set(received[0]["headers"]) - names <= {"connection", "user-agent"}


async def _received(platform: Running, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """What reached the stand-in for the vendor."""
    key = (platform.state / "secrets" / "sandbox-openai" / "crafiq_openai_api_key").read_text()
    url = f"{platform.endpoints['sandbox']['openai']}/sandbox/requests"
    async with http.get(url, headers={"authorization": f"Bearer {key}"}) as answer:
        found = await answer.json()
        return list(found["requests"] if isinstance(found, dict) else found)


@pytest.mark.promise("2b-output-owner", "8-least-priv")
async def test_another_persons_things_are_not_there(join: Join, photo: bytes) -> None:
    owner, other = await join(), await join()
    asset = await owner.upload(photo, "astronaut.jpg", "image/jpeg")
    order = await owner.order("a brass door handle")
    await owner.finished(order["name"])
    for path in (
        f"/v1/{asset['name']}",
        f"/v1/{asset['name']}:download",
        f"/v1/{order['name']}",
        f"/v1/{order['name']}/egress",
        f"/v1/{order['name']}:watch",
    ):
        with pytest.raises(ApiRefused) as theirs:
            await other.api.get(path)
        with pytest.raises(ApiRefused) as missing:
            await other.api.get(path.replace(path.split("/")[3][:36], str(uuid.uuid4())))
        assert theirs.value.status == missing.value.status == 404
    with pytest.raises(ApiRefused) as refused:
        await other.order("mine now", inputAssets=[asset["name"]])
    assert refused.value.status == 404
    assert (await other.balance())["held"] == 0
    assert (await other.api.get("/v1/assets"))["assets"] == []


async def test_asking_twice_with_one_id_orders_once(join: Join) -> None:
    person = await join()
    request = str(uuid.uuid4())
    first, second = await asyncio.gather(*(person.order("a paper boat", requestId=request) for _ in range(2)))
    assert first["name"] == second["name"]
    await person.finished(first["name"])
    assert (await _settled(person))["settled"] == first["quotedCredits"]
    with pytest.raises(ApiRefused) as refused:
        await person.order("another boat", requestId=request)
    assert refused.value.status in {400, 409}


async def test_a_stream_resumes_after_the_last_event_seen(
    platform: Running, join: Join, http: aiohttp.ClientSession
) -> None:
    person = await join()
    order = await person.order("a tin drum")
    events = [e async for e in person.api.events(f"/v1/{order['name']}:watch")]
    assert [e.data["state"] for e in events][-1] == "SUCCEEDED"
    assert [int(e.id) for e in events] == sorted({int(e.id) for e in events})
    headers = {"authorization": f"Bearer {person.access_token}", "last-event-id": events[0].id}
    async with http.get(f"{platform.gateway}/v1/{order['name']}:watch", headers=headers) as answer:
        resumed = (await answer.text()).count("\nevent: state")
    assert resumed == len(events) - 1


@pytest.mark.promise("2a-account")
async def test_nothing_works_without_signing_in(platform: Running, http: aiohttp.ClientSession) -> None:
    api = Api(http, platform.gateway)
    for path in ("/v1/assets", "/v1/generations", "/v1/billing/balance", "/v1/accounts/me"):
        with pytest.raises(ApiRefused) as refused:
            await api.get(path)
        assert refused.value.status == 401


@pytest.mark.promise("2a-input-text", "8-minimise")
async def test_no_log_and_no_trace_holds_what_people_wrote(
    platform: Running, join: Join, photo: bytes
) -> None:
    marker = f"zebra{uuid.uuid4().hex}"
    person = await join(displayName=f"{marker} name")
    asset = await person.upload(photo, f"{marker}.jpg", "image/jpeg")
    order = await person.order(f"{marker} prompt", inputAssets=[asset["name"]])
    await person.finished(order["name"])
    with pytest.raises(ApiRefused):
        await person.order(f"{marker} refused", task="TEXT_TO_VIDEO")
    values = [marker, person.email, person.password, person.access_token]
    files = [p for folder in ("logs", "traces") for p in (platform.state / folder).rglob("*") if p.is_file()]
    assert len(files) > 5
    for file in files:
        content = file.read_text(errors="replace")
        assert not [v for v in values if v in content], file.name
