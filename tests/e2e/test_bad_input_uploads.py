"""Files that are not what they claim, from people who are not who they should be."""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import uuid
import zipfile
import zlib
from collections.abc import Awaitable
from typing import Any

import pytest
from PIL import Image

from cli.api import ApiRefused, Json
from tests.e2e.conftest import Join, Person
from tests.personal import used

NAMES = {
    "a way up": "../../etc/{}.jpg",
    "a way up in Windows": "..\\..\\{}.jpg",
    "a null character": "{}\0.jpg",
    "a line break": "{}.jpg\r\nx-evil: 1",
    "from right to left": "{}\u202egpj.exe",
    "an isolate": "\u2067{}.jpg",
    "nothing to read": " . ",
    "too long": "{}" + "x" * 200,
}


async def _refused(asked: Awaitable[Any]) -> ApiRefused:
    with pytest.raises(ApiRefused) as refused:
        await asked
    return refused.value


async def _library(person: Person) -> list[Json]:
    return list((await person.api.get("/v1/assets"))["assets"])


def _bomb(side: int) -> bytes:
    """A PNG of some kilobytes that says it has side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(2_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.promise("2a-input-media")
async def test_storage_refuses_other_bytes_than_were_declared(join: Join, photo: bytes) -> None:
    person = await join()
    upload = await person.open(photo, "honest-name.jpg", "image/jpeg")
    url, headers = upload["url"], upload["headers"]
    lies = {
        "other bytes": (bytes(len(photo)), headers),
        "fewer": (photo[:-1], headers),
        "more": (photo + b"x", headers),
        "another type": (photo, {**headers, "content-type": "text/html"}),
        "another digest": (photo, {**headers, "x-amz-checksum-sha256": "A" * 43 + "="}),
        "none of the headers": (photo, {}),
    }
    for what, (content, sent) in lies.items():
        assert (await _refused(person.api.put(url, content, sent))).status in {400, 403, 411}, what
    elsewhere = url.replace(upload["name"].partition("/")[2], str(uuid.uuid4()))
    if elsewhere != url:
        assert (await _refused(person.api.put(elsewhere, photo, headers))).status == 403
    assert (await _refused(person.api.post(f"/v1/{upload['name']}:complete"))).status == 400
    assert await _library(person) == []
    await person.api.put(url, photo, headers)
    assert (await _refused(person.api.put(url, photo, headers))).status == 412


@pytest.mark.promise("2a-input-media")
async def test_what_is_declared_wrongly_is_refused_when_it_is_completed(join: Join, photo: bytes) -> None:
    person = await join()
    png = io.BytesIO()
    Image.new("RGB", (40, 40), "teal").save(png, "PNG")
    lies = {
        "a picture of another kind": (png.getvalue(), "image/jpeg", "CONTENT_TYPE_MISMATCH"),
        "a page": (b"<html><script>alert(1)</script></html>", "image/png", "CONTENT_TYPE_MISMATCH"),
        "a program": (b"\x7fELF" + bytes(200), "image/gif", "CONTENT_TYPE_MISMATCH"),
        "half a picture": (photo[: len(photo) // 2], "image/jpeg", "CONTENT_DAMAGED"),
        "the head of a picture": (png.getvalue()[:45], "image/png", "CONTENT_DAMAGED"),
        "a bomb": (_bomb(30_000), "image/png", "PICTURE_TOO_LARGE"),
        "a bomb that says it is small": (_bomb(900), "image/png", "CONTENT_DAMAGED"),
    }
    for what, (content, kind, reason) in lies.items():
        upload = await person.open(content, "pretended-name.jpg", kind)
        await person.api.put(upload["url"], content, upload["headers"])
        for _ in range(2):
            refused = await _refused(person.api.post(f"/v1/{upload['name']}:complete"))
            assert (refused.status, refused.reason) == (400, reason), what
    assert await _library(person) == []


@pytest.mark.promise("2a-input-media")
async def test_an_archive_behind_a_picture_stays_outside(join: Join, photo: bytes) -> None:
    person = await join()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("payload.js", "alert(1)")
    both = photo + archive.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(both))
    asset = await person.upload(both, "picture-and-archive.jpg", "image/jpeg")
    kept = await person.download(asset["name"])
    assert not zipfile.is_zipfile(io.BytesIO(kept))
    assert b"payload.js" not in kept
    assert hashlib.sha256(kept).hexdigest() == asset["sha256"]


async def test_what_can_not_be_taken_is_refused_before_it_is_sent(join: Join) -> None:
    person = await join()
    lies: dict[str, Json] = {
        "nothing": {"sizeBytes": "0"},
        "less than nothing": {"sizeBytes": "-1"},
        "more than anything": {"sizeBytes": str(2**63 - 1)},
        "more than is taken": {"sizeBytes": str(201 * 2**20)},
        "no digest": {"sha256": ""},
        "half a digest": {"sha256": "ab" * 16},
        "a digest in capitals": {"sha256": "AB" * 32},
        "a drawing with a script": {"contentType": "image/svg+xml"},
        "a header in the type": {"contentType": "image/png\r\nx-evil: 1"},
        "no type": {"contentType": ""},
        "no request id": {"requestId": ""},
    }
    for what, lie in lies.items():
        refused = await _refused(person.open(b"12345", "plain-name.jpg", "image/jpeg", **lie))
        assert refused.status == 400, what
        assert refused.reason, what
    assert await _library(person) == []


@pytest.mark.promise("2a-input-media")
@pytest.mark.parametrize("what", NAMES)
async def test_names_that_deceive_are_refused_for_files_and_titles(
    join: Join, photo: bytes, what: str
) -> None:
    person = await join()
    name = used(NAMES[what].format(uuid.uuid4().hex))
    assert (await _refused(person.open(photo, name, "image/jpeg"))).status == 400
    asset = await person.upload(photo, "a-good-name.jpg", "image/jpeg")
    renamed = person.api.call("PATCH", f"/v1/{asset['name']}?updateMask=title", {"title": name})
    assert (await _refused(renamed)).status == 400
    assert (await person.api.get(f"/v1/{asset['name']}"))["title"] == "a-good-name.jpg"


async def test_an_upload_is_completed_once_however_often_it_is_asked(join: Join, photo: bytes) -> None:
    person = await join()
    upload = await person.open(photo, "only-once.jpg", "image/jpeg")
    await person.api.put(upload["url"], photo, upload["headers"])
    complete = f"/v1/{upload['name']}:complete"
    assets = await asyncio.gather(*(person.api.post(complete) for _ in range(6)))
    assert len({asset["name"] for asset in [*assets, await person.api.post(complete)]}) == 1
    assert len(await _library(person)) == 1


@pytest.mark.promise("2b-output-owner", "8-least-priv")
async def test_nobody_completes_what_another_person_uploads(join: Join, photo: bytes) -> None:
    owner, other = await asyncio.gather(join(), join())
    upload = await owner.open(photo, "the-owners.jpg", "image/jpeg")
    await owner.api.put(upload["url"], photo, upload["headers"])
    refused = await _refused(other.api.post(f"/v1/{upload['name']}:complete"))
    assert (refused.status, refused.reason) == (404, "UPLOAD_NOT_FOUND")
    assert await _library(other) == []
    assert (await owner.api.post(f"/v1/{upload['name']}:complete"))["name"]


async def test_the_same_request_opens_one_upload_and_another_body_none(join: Join, photo: bytes) -> None:
    person = await join()
    request = str(uuid.uuid4())

    async def opened(filename: str = "one-and-only.jpg", **more: str) -> Json:
        return await person.open(photo, filename, "image/jpeg", requestId=request, **more)

    uploads = await asyncio.gather(*(opened() for _ in range(8)))
    assert len({upload["name"] for upload in uploads}) == 1
    for other in (opened("another-name.jpg"), opened(sizeBytes="1"), opened(sha256="0" * 64)):
        refused = await _refused(other)
        assert (refused.status, refused.reason) == (409, "REQUEST_ID_REUSED")
