"""Files on their way into a library."""

from __future__ import annotations

import asyncio
import io
import struct
import zipfile
from uuid import UUID, uuid4

import pytest
from PIL import Image, ImageChops

from chassis.errors import Refusal
from chassis.rpc import wrap
from services.assets.domain.uploads import Upload
from tests.integration.assets.world import LIBRARY, QUARANTINE, Person, World, digest
from tests.support import eventually
from tests.unit.assets import makers
from tests.unit.assets.test_cleaning import bomb

# What the photo's EXIF says: author, camera, and the bytes of its coordinates.
WHERE = struct.pack(">6I", 48, 1, 51, 1, 148, 5), struct.pack(">6I", 2, 1, 17, 1, 201, 5)
SAID = (b"CANARY-AUTHOR", b"Test camera", b"Exif", *WHERE)


@pytest.mark.promise("2a-input-media", "5-ai-min-input", "3-store", "2b-output-owner")
async def test_a_photo_enters_the_library_without_what_its_exif_said(
    ada: Person, world: World, photo: bytes
) -> None:
    assert all(word in photo for word in SAID)

    asset = await ada.upload(photo, filename="Ada in space.jpg")

    kept = world.stored(LIBRARY, await world.key_of(asset.name))
    downloaded = await ada.download(asset.name)
    assert kept == downloaded
    assert not any(word in kept for word in SAID)
    with Image.open(io.BytesIO(photo)) as before, Image.open(io.BytesIO(kept)) as after:
        assert ImageChops.difference(before, after).getbbox() is None
        assert not after.getexif()
    assert (asset.title, asset.content_type) == ("Ada in space.jpg", "image/jpeg")
    assert (asset.size_bytes, asset.sha256) == (len(kept), digest(kept))
    assert (asset.width, asset.height) == (512, 512)


@pytest.mark.promise("2a-input-media")
async def test_nothing_unstripped_stays_anywhere(ada: Person, world: World, photo: bytes) -> None:
    asset = await ada.upload(photo)
    for bucket in (QUARANTINE, LIBRARY):
        for key in world.keys(bucket, ada):
            assert SAID[0] not in world.stored(bucket, key)
    rows = await world.sql("SELECT to_jsonb(u)::text AS row FROM uploads u WHERE account = $1", ada.id)
    assert asset.title not in rows[0]["row"]


@pytest.mark.parametrize("kind", makers.FILES)
@pytest.mark.promise("2a-input-media")
async def test_every_kind_of_file_is_taken_without_what_was_said_about_it(
    ada: Person, world: World, kind: str
) -> None:
    asset = await ada.upload(makers.FILES[kind](), kind, filename="thing")
    kept = await ada.download(asset.name)
    assert asset.content_type == kind
    assert makers.SECRET not in kept
    assert digest(kept) == asset.sha256


async def test_storage_takes_exactly_the_declared_bytes_once(ada: Person, world: World, photo: bytes) -> None:
    upload = await ada.open(photo)
    other = bytes(len(photo))
    assert upload.method == "PUT"
    assert await world.put(upload, other) in {400, 403}
    assert await world.put(upload, photo[:-1]) in {400, 403}
    assert await world.put(upload, photo + b"x") in {400, 403}
    assert await world.put(upload, photo, **{"content-type": "text/html"}) == 403
    assert await world.put(upload, photo) == 200
    assert await world.put(upload, photo) == 412


async def test_an_upload_is_completed_only_when_the_bytes_are_there(ada: Person, photo: bytes) -> None:
    upload = await ada.open(photo)
    with pytest.raises(Refusal, match="PUT them to its `url`") as refused:
        await ada.complete(upload.name)
    assert (refused.value.status, refused.value.reason) == ("FAILED_PRECONDITION", "UPLOAD_NOT_FINISHED")
    assert await ada.world.put(upload, photo) == 200
    assert (await ada.complete(upload.name)).title == ada.filename


async def test_completed_again_and_at_once_it_is_the_same_asset(
    ada: Person, world: World, photo: bytes
) -> None:
    before = world.keys(LIBRARY, ada)
    upload = await ada.open(photo)
    await world.put(upload, photo)
    assets = await asyncio.gather(*(ada.complete(upload.name) for _ in range(5)))
    assert {asset.name for asset in assets} == {(await ada.complete(upload.name)).name}
    assert len((await ada.list()).assets) == 1
    asset = UUID(assets[0].name.removeprefix("assets/"))
    rows = await world.sql("SELECT key FROM objects WHERE asset = $1", asset)
    assert [row["key"] for row in rows] == [await world.key_of(assets[0].name)]
    assert world.keys(LIBRARY, ada) - before == {rows[0]["key"]}


async def test_who_is_late_to_complete_gets_the_asset_of_who_was_faster(
    ada: Person, world: World, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await ada.open(photo)
    await world.put(upload, photo)
    storage = world.desk.storage
    uploaded = storage.uploaded

    async def when_it_is_over(which: Upload) -> bytes:
        monkeypatch.setattr(storage, "uploaded", uploaded)
        await ada.complete(upload.name)
        return await uploaded(which)

    monkeypatch.setattr(storage, "uploaded", when_it_is_over)
    late = await ada.complete(upload.name)
    assert [asset.name for asset in (await ada.list()).assets] == [late.name]


async def test_the_same_request_opens_the_same_upload(ada: Person, photo: bytes) -> None:
    wish = ada.wish(photo, "image/jpeg")
    first, second = [await ada.call("CreateUpload", wish) for _ in range(2)]
    assert first.name == second.name
    assert await ada.world.put(second, photo) == 200
    asset = await ada.complete(first.name)
    assert (await ada.call("CreateUpload", wish)).name == first.name
    assert (await ada.complete(first.name)).name == asset.name
    wish.filename = "other.jpg"
    with pytest.raises(Refusal) as refused:
        await ada.call("CreateUpload", wish)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_many_at_once_with_one_request_id_open_one_upload(ada: Person, photo: bytes) -> None:
    wish = ada.wish(photo, "image/jpeg")
    uploads = await asyncio.gather(*(ada.call("CreateUpload", wish) for _ in range(8)))
    assert len({upload.name for upload in uploads}) == 1


@pytest.mark.parametrize(("content", "declared", "reason"), [
    (makers.png(), "image/jpeg", "CONTENT_TYPE_MISMATCH"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/png", "CONTENT_TYPE_MISMATCH"),
    (b"\x7fELF" + bytes(100), "text/plain", "CONTENT_TYPE_MISMATCH"),
    (b"PK\x03\x04" + bytes(100), "image/gif", "CONTENT_TYPE_MISMATCH"),
    (bomb(30_000, 30_000), "image/png", "PICTURE_TOO_LARGE"),
    (makers.jpeg()[:700], "image/jpeg", "CONTENT_DAMAGED"),
    (makers.png()[:-40], "image/png", "CONTENT_DAMAGED"),
    (makers.webp()[:300], "image/webp", "CONTENT_DAMAGED"),
], ids=[
    "png as jpeg", "svg as png", "program as text", "zip as gif", "bomb", "cut jpeg", "cut png", "cut webp",
])  # fmt: skip
async def test_bytes_that_are_not_what_they_claim_are_refused_and_not_kept(
    ada: Person, world: World, content: bytes, declared: str, reason: str
) -> None:
    upload = await ada.open(content, declared)
    assert await world.put(upload, content) == 200
    key = await world.quarantine_of(upload.name)
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            await ada.complete(upload.name)
        assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", reason)
    assert key not in world.keys(QUARANTINE, ada)
    assert not (await ada.list()).assets


async def test_a_picture_that_is_an_archive_too_is_only_a_picture_afterwards(
    ada: Person, photo: bytes
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("payload.js", "alert(1)")
    both = photo + buffer.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(both))
    asset = await ada.upload(both)
    kept = await ada.download(asset.name)
    assert not zipfile.is_zipfile(io.BytesIO(kept))
    assert b"payload.js" not in kept


async def test_what_is_too_large_or_of_no_known_type_is_refused_before_it_is_sent(ada: Person) -> None:
    for more, reason in (
        ({"size_bytes": 26 * 2**20}, "CONTENT_TOO_LARGE"),
        ({"size_bytes": 201 * 2**20}, "INVALID_REQUEST"),
        ({"content_type": "image/svg+xml"}, "CONTENT_TYPE_UNSUPPORTED"),
        ({"sha256": "zz"}, "INVALID_REQUEST"),
        ({"filename": "../../x.jpg"}, "TITLE_NOT_ALLOWED"),
        ({"filename": "gpj\u202eexe"}, "TITLE_NOT_ALLOWED"),
        ({"request_id": "1"}, "INVALID_REQUEST"),
    ):
        with pytest.raises(Refusal) as refused:
            await ada.call("CreateUpload", ada.wish(b"12345", **{"content_type": "image/jpeg", **more}))
        assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", reason)


async def test_a_person_may_have_twenty_uploads_open(ada: Person, bob: Person, photo: bytes) -> None:
    opened = await asyncio.gather(*(ada.open(photo) for _ in range(24)), return_exceptions=True)
    refused = [each for each in opened if isinstance(each, Refusal)]
    assert {each.reason for each in refused} == {"UPLOADS_TOO_MANY"}
    assert len(refused) == 4
    assert (await bob.open(photo)).name
    first = next(each for each in opened if not isinstance(each, BaseException))
    await ada.world.put(first, photo)
    await ada.complete(first.name)
    assert (await ada.open(photo)).name


@pytest.mark.promise("2b-output-owner")
async def test_another_persons_upload_is_not_there(ada: Person, bob: Person, photo: bytes) -> None:
    upload = await ada.open(photo)
    await ada.world.put(upload, photo)
    with pytest.raises(Refusal) as others:
        await bob.complete(upload.name)
    missing = f"uploads/{uuid4()}"
    with pytest.raises(Refusal) as nobodys:
        await bob.complete(missing)
    assert (others.value.status, others.value.reason) == ("NOT_FOUND", "UPLOAD_NOT_FOUND")
    assert str(others.value).replace(upload.name, missing) == str(nobodys.value)
    for name in ("uploads/1", "uploads/" + "a" * 36, "uploads/../assets", "uploads/" + str(uuid4()).upper()):
        with pytest.raises(Refusal) as malformed:
            await bob.complete(name)
        assert malformed.value.reason == "UPLOAD_NOT_FOUND"


async def test_a_request_that_is_ahead_of_the_event_waits_for_it(
    world: World, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrap, "SUBJECT_WAIT", 15.0)
    person = Person(world)
    opening = asyncio.create_task(person.open(photo))
    await asyncio.sleep(0.3)  # the request is in the service and waits
    await world.announce(world.verified(person))
    assert (await opening).name


async def test_an_account_that_nobody_confirmed_has_no_library(world: World, photo: bytes) -> None:
    person = Person(world)
    with pytest.raises(Refusal) as refused:
        await person.open(photo)
    assert refused.value.status == "UNAVAILABLE"
    assert not (await person.list()).assets


async def test_a_second_delivery_changes_nothing(world: World) -> None:
    person = Person(world)
    await world.announce(world.verified(person))
    await world.announce(world.verified(person))
    await eventually(lambda: world.sql("SELECT 1 FROM subjects WHERE account = $1", person.id))
    after = await world.person()
    rows = await world.sql("SELECT account FROM subjects WHERE account = ANY($1)", [person.id, after.id])
    assert len(rows) == 2
    assert not await world.sql("SELECT 1 FROM dead_letters")


async def test_no_log_line_says_what_the_file_was_called(
    ada: Person, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="crafiq")
    asset = await ada.upload(photo, filename="very-personal-name.jpg")
    bad = await ada.open(makers.png(), "image/jpeg", filename="very-personal-name.png")
    await ada.world.put(bad, makers.png())
    with pytest.raises(Refusal):
        await ada.complete(bad.name)
    await ada.download(asset.name)
    assert "very-personal-name" not in caplog.text
