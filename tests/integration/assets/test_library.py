"""A person's library: listing, reading, renaming, downloading."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import Refusal
from cli.search import Needles, Sought
from services.assets.domain.shelves import path_of
from tests.integration.assets.world import Person, World, header_for
from tests.unit.assets import makers


async def renamed(person: Person, name: str, title: str, **more: Any) -> assets_pb2.Asset:
    """An asset under another title."""
    mask = FieldMask(paths=more.pop("paths", ["title"]))
    asset = assets_pb2.Asset(name=name, title=title, **more)
    changed: assets_pb2.Asset = await person.call(
        "UpdateAsset", assets_pb2.UpdateAssetRequest(asset=asset, update_mask=mask)
    )
    return changed


async def test_a_library_is_listed_newest_first_page_by_page(ada: Person, bob: Person) -> None:
    names = [(await ada.upload(makers.text(), "text/plain", filename=f"{n}.txt")).name for n in range(5)]
    await bob.upload(makers.text(), "text/plain")
    listed, token = [], ""
    while True:
        page = await ada.list(page_size=2, page_token=token)
        listed += [asset.name for asset in page.assets]
        token = page.next_page_token
        if not token:
            break
        assert len(page.assets) == 2
    assert listed == names[::-1]
    assert len((await ada.list(page_size=5000)).assets) == 5


async def test_a_library_is_filtered_by_kind_and_origin(ada: Person, world: World) -> None:
    text = await ada.upload(makers.text(), "text/plain")
    picture = await ada.upload(makers.png(), "image/png")
    made = await world.store(header_for(ada, makers.png()), makers.png())

    async def names(**which: Any) -> set[str]:
        return {asset.name for asset in (await ada.list(**which)).assets}

    assert await names(kind=assets_pb2.TEXT) == {text.name}
    assert await names(kind=assets_pb2.IMAGE) == {picture.name, made.name}
    assert await names(origin=assets_pb2.OUTPUT) == {made.name}
    assert await names(kind=assets_pb2.IMAGE, origin=assets_pb2.INPUT) == {picture.name}
    assert await names(kind=assets_pb2.VIDEO) == set()


async def test_a_page_token_is_good_for_its_own_list_only(ada: Person, bob: Person) -> None:
    for _ in range(3):
        await ada.upload(makers.text(), "text/plain")
    token = (await ada.list(page_size=1)).next_page_token
    assert len((await ada.list(page_size=1, page_token=token)).assets) == 1
    attempts = [
        ada.list(page_size=1, page_token=token, kind=assets_pb2.TEXT),
        bob.list(page_size=1, page_token=token),
        ada.list(page_size=1, page_token=token[:-2]),
        ada.list(page_size=1, page_token="AAAA"),
        ada.list(page_size=1, page_token="0' OR 1=1 --"),
    ]
    for attempt in attempts:
        with pytest.raises(Refusal) as refused:
            await attempt
        assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    for wrong in ({"page_size": -1}, {"kind": 99}, {"origin": 77}):
        with pytest.raises(Refusal) as refused:
            await ada.list(**wrong)
        assert refused.value.reason == "INVALID_REQUEST"


@pytest.mark.promise("2b-output-owner")
async def test_another_persons_asset_is_not_there(ada: Person, bob: Person, photo: bytes) -> None:
    asset = await ada.upload(photo)
    missing = f"assets/{uuid4()}"
    calls: list[tuple[str, Any]] = [
        ("GetAsset", lambda name: assets_pb2.GetAssetRequest(name=name)),
        ("DownloadAsset", lambda name: assets_pb2.DownloadAssetRequest(name=name)),
        ("UpdateAsset", lambda name: assets_pb2.UpdateAssetRequest(asset={"name": name, "title": "mine"})),
    ]
    for rpc, request in calls:
        with pytest.raises(Refusal) as others:
            await bob.call(rpc, request(asset.name))
        with pytest.raises(Refusal) as nobodys:
            await bob.call(rpc, request(missing))
        assert (others.value.status, others.value.reason) == ("NOT_FOUND", "ASSET_NOT_FOUND")
        assert str(others.value).replace(asset.name, missing) == str(nobodys.value)
    assert (await ada.get(asset.name)).title == ada.filename


async def test_a_title_changes_and_its_etag_with_it(ada: Person, photo: bytes) -> None:
    asset = await ada.upload(photo)
    changed = await renamed(ada, asset.name, "  Grüße aus dem All ", etag=asset.etag)
    assert changed.title == "Grüße aus dem All"
    assert changed.etag != asset.etag
    assert await ada.get(asset.name) == changed
    with pytest.raises(Refusal) as refused:
        await renamed(ada, asset.name, "again", etag=asset.etag)
    assert (refused.value.status, refused.value.reason) == ("ABORTED", "ETAG_MISMATCH")


async def test_of_two_who_rename_at_once_one_learns_of_the_other(ada: Person, photo: bytes) -> None:
    asset = await ada.upload(photo)
    answers = await asyncio.gather(
        *(renamed(ada, asset.name, f"title {n}", etag=asset.etag) for n in range(4)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Aborted", "Aborted", "Aborted", "Asset"]


async def test_titles_that_deceive_are_refused(ada: Person, photo: bytes) -> None:
    asset = await ada.upload(photo)
    for title in ("../x", "a\\b", "gpj\u202eexe", "a\x00b", "\u2066", "", "   "):
        with pytest.raises(Refusal) as refused:
            await renamed(ada, asset.name, title)
        assert refused.value.status == "INVALID_ARGUMENT"
        assert refused.value.reason in {"TITLE_NOT_ALLOWED", "INVALID_REQUEST"}
    with pytest.raises(Refusal):
        await renamed(ada, asset.name, "x" * 201)
    with pytest.raises(Refusal) as refused:
        await renamed(ada, asset.name, "x", paths=["title", "sha256"])
    assert refused.value.reason == "UPDATE_MASK_INVALID"
    assert (await ada.get(asset.name)).title == ada.filename


async def test_a_download_is_saved_under_the_title_for_a_minute(ada: Person, photo: bytes) -> None:
    asset = await ada.upload(photo, filename='Grüße; "1" & 2.png')
    before = datetime.now(UTC)
    link = await ada.link(asset.name)
    after = datetime.now(UTC)
    ends = link.expires_at.ToDatetime(UTC)
    assert before + timedelta(seconds=28) < ends <= after + timedelta(seconds=60)
    status, headers, _ = await ada.world.fetch(link.url)
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    disposition = headers["content-disposition"]
    assert disposition.startswith('attachment; filename="Gr__e_ _1_ & 2.png.jpg"')
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe_%20_1_%20%26%202.png.jpg" in disposition


async def test_a_link_repeats_within_half_a_minute_and_can_not_be_changed(ada: Person, photo: bytes) -> None:
    asset, other = await ada.upload(photo), await ada.upload(makers.png(), "image/png")
    links = {(await ada.link(asset.name)).url for _ in range(5)}
    assert len(links) <= 2  # two, should a window end in between
    link = links.pop()
    world = ada.world
    key, foreign = await world.key_of(asset.name), await world.key_of(other.name)
    assert (await world.fetch(link))[0] == 200
    assert (await world.fetch(link.replace(path_of(key), path_of(foreign))))[0] == 403
    assert (await world.fetch(link.replace("attachment", "inline")))[0] == 403
    assert (await world.fetch(link.partition("?")[0]))[0] == 403


async def test_only_the_signed_in_reach_a_library(ada: Person, photo: bytes, world: World) -> None:
    asset = await ada.upload(photo)
    with pytest.raises(Refusal) as refused:
        await world.call("GetAsset", assets_pb2.GetAssetRequest(name=asset.name))
    assert refused.value.status == "UNAUTHENTICATED"
    with pytest.raises(Refusal) as refused:
        await world.call(
            "GetAsset", assets_pb2.GetAssetRequest(name=asset.name),
            caller="generation", metadata=world.tokens.metadata(ada.id),
        )  # fmt: skip
    assert refused.value.status == "PERMISSION_DENIED"


@pytest.mark.promise("8-rest")
async def test_what_is_stored_is_not_readable_on_the_disk(ada: Person, world: World) -> None:
    words = b"The quick brown fox of " + str(uuid4()).encode()
    await ada.upload(words, "text/plain")
    files = [path for path in world.infra.state.folder("s3").rglob("*") if path.is_file()]
    assert files
    needles = Needles([Sought("it", words)])
    assert not any(needles.in_file(path, "")[1] for path in files)
