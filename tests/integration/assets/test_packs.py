"""Packs: ordered, many to many, and none the worse for what is missing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import Refusal
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.world import Person, World
from tests.unit.assets import makers


async def a_pack(person: Person, title: str = "Kettles", request_id: str = "") -> assets_pb2.Pack:
    request = assets_pb2.CreatePackRequest(title=title, request_id=request_id or str(uuid4()))
    pack: assets_pb2.Pack = await person.call("CreatePack", request)
    return pack


async def texts(person: Person, number: int) -> list[str]:
    """So many assets."""
    return [(await person.upload(makers.text(), "text/plain")).name for _ in range(number)]


async def added(person: Person, pack: str, *assets: str) -> assets_pb2.Pack:
    filled: assets_pb2.Pack = await person.call(
        "AddAssets", assets_pb2.AddAssetsRequest(name=pack, assets=assets)
    )
    return filled


async def got(person: Person, pack: str) -> assets_pb2.Pack:
    found: assets_pb2.Pack = await person.call("GetPack", assets_pb2.GetPackRequest(name=pack))
    return found


async def updated(person: Person, pack: str, *paths: str, **values: Any) -> assets_pb2.Pack:
    request = assets_pb2.UpdatePackRequest(
        pack=assets_pb2.Pack(name=pack, **values), update_mask=FieldMask(paths=paths)
    )
    changed: assets_pb2.Pack = await person.call("UpdatePack", request)
    return changed


async def refusal(call: Any) -> str:
    """Why a call is refused."""
    with pytest.raises(Refusal) as refused:
        await call
    return refused.value.reason


@pytest.mark.promise("3-packs")
async def test_a_pack_keeps_its_order_and_an_asset_may_be_in_many(ada: Person) -> None:
    first, second, third = await texts(ada, 3)
    pack, other = await a_pack(ada), await a_pack(ada, "Pots")
    assert (pack.title, pack.asset_count, list(pack.assets)) == ("Kettles", 0, [])
    await added(ada, pack.name, third, first)
    filled = await added(ada, pack.name, second, third)
    assert list(filled.assets) == [third, first, second]
    assert filled.asset_count == 3
    assert list((await added(ada, other.name, first)).assets) == [first]
    ordered = await updated(ada, pack.name, "assets", assets=[first, second, third], etag=filled.etag)
    assert list(ordered.assets) == [first, second, third]
    assert await got(ada, pack.name) == ordered
    less = await ada.call("RemoveAssets", assets_pb2.RemoveAssetsRequest(name=pack.name, assets=[second]))
    assert list(less.assets) == [first, third]
    assert (await ada.get(second)).name == second


@pytest.mark.promise("3-packs", "9-delete-item")
async def test_a_pack_survives_what_is_deleted(ada: Person) -> None:
    first, second, third = await texts(ada, 3)
    pack = await a_pack(ada)
    filled = await added(ada, pack.name, first, second, third)
    receipt = await deleted(ada, second)
    assert receipt.rows == 4  # the asset, its upload, its place in the pack, that it was to be drawn
    found = await got(ada, pack.name)
    assert (list(found.assets), found.asset_count, found.etag) == ([first, third], 2, filled.etag)
    (fourth,) = await texts(ada, 1)
    assert list((await added(ada, pack.name, fourth)).assets) == [first, third, fourth]


@pytest.mark.promise("3-packs", "9-delete-item")
async def test_a_pack_is_deleted_with_a_receipt_and_what_was_in_it_stays(ada: Person, world: World) -> None:
    first, second = await texts(ada, 2)
    pack, other = await a_pack(ada), await a_pack(ada, "Pots")
    filled = await added(ada, pack.name, first, second)
    await added(ada, other.name, first)
    stale = assets_pb2.DeletePackRequest(name=pack.name, etag=pack.etag)
    assert await refusal(ada.call("DeletePack", stale)) == "PACK_CHANGED"
    request = assets_pb2.DeletePackRequest(name=pack.name, etag=filled.etag)
    receipt = (await ada.call("DeletePack", request)).receipt
    assert (receipt.pack, receipt.rows, receipt.was_public) == (pack.name, 3, False)
    assert (receipt.assets_kept, receipt.publications_kept) == (2, 0)
    assert receipt.HasField("delete_time")
    assert await refusal(got(ada, pack.name)) == "PACK_NOT_FOUND"
    assert await refusal(ada.call("DeletePack", request)) == "PACK_NOT_FOUND"
    assert {(await ada.get(asset)).name for asset in (first, second)} == {first, second}
    assert list((await got(ada, other.name)).assets) == [first]
    gone = UUID(pack.name.removeprefix("packs/"))
    assert not await world.sql("SELECT FROM pack_items WHERE pack = $1", gone)


async def test_a_pack_is_made_once_however_often_it_is_asked_for(ada: Person) -> None:
    request_id = str(uuid4())
    packs = await asyncio.gather(*(a_pack(ada, "Cups", request_id) for _ in range(4)))
    assert len({pack.name for pack in packs}) == 1
    assert await refusal(a_pack(ada, "Plates", request_id)) == "REQUEST_ID_REUSED"
    listed = await ada.call("ListPacks", assets_pb2.ListPacksRequest())
    assert [pack.title for pack in listed.packs] == ["Cups"]


async def test_packs_are_listed_newest_first_page_by_page(ada: Person, bob: Person) -> None:
    (asset,) = await texts(ada, 1)
    names = [(await a_pack(ada, f"Pack {number}")).name for number in range(3)]
    await added(ada, names[2], asset)
    await a_pack(bob)
    first = await ada.call("ListPacks", assets_pb2.ListPacksRequest(page_size=2))
    rest = await ada.call(
        "ListPacks", assets_pb2.ListPacksRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [pack.name for pack in [*first.packs, *rest.packs]] == names[::-1]
    assert [(pack.asset_count, list(pack.assets)) for pack in first.packs] == [(1, []), (0, [])]
    assert not rest.next_page_token
    foreign = assets_pb2.ListPacksRequest(page_token=first.next_page_token)
    assert await refusal(bob.call("ListPacks", foreign)) == "PAGE_TOKEN_INVALID"


@pytest.mark.promise("2b-output-owner")
async def test_nobody_reaches_into_another_persons_packs_or_library(ada: Person, bob: Person) -> None:
    (hers,), (his,) = await texts(ada, 1), await texts(bob, 1)
    pack, own = await a_pack(ada), await a_pack(bob)
    await added(ada, pack.name, hers)
    calls = [
        got(bob, pack.name),
        added(bob, pack.name, his),
        updated(bob, pack.name, "title", title="Mine"),
        bob.call("RemoveAssets", assets_pb2.RemoveAssetsRequest(name=pack.name, assets=[hers])),
        bob.call("DeletePack", assets_pb2.DeletePackRequest(name=pack.name)),
        got(bob, f"packs/{uuid4()}"),
        got(bob, "packs/../x"),
    ]
    for call in calls:
        assert await refusal(call) == "PACK_NOT_FOUND"
    assert await refusal(added(bob, own.name, hers)) == "ASSET_NOT_FOUND"
    assert list((await got(bob, own.name)).assets) == []
    assert list((await got(ada, pack.name)).assets) == [hers]


async def test_changes_that_make_no_sense_are_refused(ada: Person) -> None:
    first, second = await texts(ada, 2)
    pack = await added(ada, (await a_pack(ada)).name, first)
    assert await refusal(a_pack(ada, "gpj\u202eexe")) == "TITLE_NOT_ALLOWED"
    assert await refusal(updated(ada, pack.name, "title", title="../x")) == "TITLE_NOT_ALLOWED"
    assert await refusal(updated(ada, pack.name, "etag", etag="x")) == "UPDATE_MASK_INVALID"
    assert await refusal(updated(ada, pack.name, "title", title="x", etag='"0"')) == "PACK_CHANGED"
    for order in ([], [second], [first, second], [first, first]):
        assert await refusal(updated(ada, pack.name, "assets", assets=order)) == "PACK_ORDER_INCOMPLETE"
    assert await refusal(added(ada, pack.name)) == "INVALID_REQUEST"
    assert await refusal(added(ada, pack.name, *[first] * 101)) == "INVALID_REQUEST"
    assert await got(ada, pack.name) == pack


async def test_many_who_add_at_once_lose_nothing(ada: Person) -> None:
    assets = await texts(ada, 6)
    pack = await a_pack(ada)
    adding = [added(ada, pack.name, asset) for asset in assets]
    await asyncio.gather(*adding, deleted(ada, assets[0]), return_exceptions=True)
    found = await got(ada, pack.name)
    assert set(found.assets) - {assets[0]} == set(assets[1:])
    assert assets[0] not in found.assets


async def test_packs_go_with_their_person(ada: Person, world: World) -> None:
    (asset,) = await texts(ada, 1)
    pack = await added(ada, (await a_pack(ada)).name, asset)
    await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)
    own = UUID(pack.name.removeprefix("packs/"))
    assert not await world.sql("SELECT 1 FROM packs WHERE id = $1", own)
    assert not await world.sql("SELECT 1 FROM pack_items WHERE pack = $1", own)
