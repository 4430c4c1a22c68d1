"""What people look at: thumbnails and posters through the gateway, of a real photo."""

from __future__ import annotations

import io
import uuid

import aiohttp
import pytest
from PIL import Image

from cli.api import Api, Json
from tests.e2e.conftest import Join, Person
from tests.personal import used
from tests.running import Running
from tests.support import eventually


async def seen(person: Person, name: str) -> Json:
    """An asset when it is drawn."""

    async def done() -> Json | None:
        asset = await person.api.get(f"/v1/{name}")
        return None if asset["renditionsPending"] else asset

    return await eventually(done, timeout=40, every=0.1)


async def fetched(http: aiohttp.ClientSession, rendition: Json) -> Image.Image:
    async with http.get(rendition["url"]) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")
        content = await answer.read()
    assert len(content) == int(rendition["sizeBytes"])
    image = Image.open(io.BytesIO(content))
    assert image.size == (rendition["width"], rendition["height"])
    assert not dict(image.getexif())
    return image


@pytest.mark.timeout(120)
@pytest.mark.promise("2b-output", "2a-input-media", "9-delete-item", "5-public-permanent", "2b-interaction")
async def test_a_photo_is_seen_small_by_its_owner_and_when_it_is_public_by_everyone(
    platform: Running, join: Join, photo: bytes, http: aiohttp.ClientSession
) -> None:
    person = await join()
    asset = await seen(person, (await person.upload(photo, "astronaut.jpg", "image/jpeg"))["name"])
    poster, thumbnail = asset["renditions"]
    assert [poster["kind"], thumbnail["kind"]] == ["poster", "thumbnail"]
    for each in (poster, thumbnail):
        used(each["url"])
        await fetched(http, each)
    assert (thumbnail["width"], thumbnail["height"]) == (256, 256)

    wish = {"confirm": True, "attribution": "ANONYMOUS", "requestId": str(uuid.uuid4())}
    made = await person.api.post(f"/v1/{asset['name']}:publish", **wish)
    assert (await person.api.get(f"/v1/{asset['name']}"))["publication"] == made["name"]
    stranger = Api(http, platform.gateway)
    shown = await stranger.get(f"/v1/{made['name']}")
    assert [each["kind"] for each in shown["renditions"]] == ["original", "poster", "thumbnail"]
    for each in shown["renditions"][1:]:
        assert each["url"] == f"{platform.gateway}/public/{made['name'].partition('/')[2]}/{each['kind']}"
        await fetched(http, each)

    receipt = (await person.api.call("DELETE", f"/v1/{asset['name']}"))["receipt"]
    assert (receipt["objects"], receipt["objectsPending"]) == (3, 0)
    for each in (poster, thumbnail):
        async with http.get(each["url"]) as answer:
            assert answer.status == 404
    await fetched(http, shown["renditions"][2])

    async def counted() -> bool:
        return int((await stranger.get(f"/v1/{made['name']}"))["views"]) >= 1

    await eventually(counted, timeout=40, every=0.2)
