"""An asset is deleted: at once, all of it, for good."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2, events_pb2
from crafiq.generation.v1.events_pb2 import GenerationDeleted
from crafiq.identity.v1.events_pb2 import NoticeSent

from chassis.errors import Refusal
from services.assets.domain.refusals import LibraryBusy
from tests.integration.assets.test_leftovers import sweeper
from tests.integration.assets.world import LIBRARY, Person, World, header_for
from tests.support import Announced, eventually
from tests.unit.assets import makers


async def deleted(person: Person, name: str, etag: str = "") -> assets_pb2.DeletionReceipt:
    """The receipt for an asset that is gone."""
    answer = await person.call("DeleteAsset", assets_pb2.DeleteAssetRequest(name=name, etag=etag))
    receipt: assets_pb2.DeletionReceipt = answer.receipt
    return receipt


@pytest.mark.promise("9-delete-item")
async def test_a_deleted_asset_is_gone_everywhere_at_once(ada: Person, world: World, photo: bytes) -> None:
    asset = await ada.upload(photo)
    made = await world.store(header_for(ada, makers.png(), inputs=[asset.name]), makers.png())
    link, key = (await ada.link(asset.name)).url, await world.key_of(asset.name)
    receipt = await deleted(ada, asset.name, asset.etag)
    assert (receipt.asset, receipt.objects, receipt.objects_pending) == (asset.name, 1, 0)
    # The asset, its upload, that the Output was made from it, that renditions were to be drawn.
    assert receipt.rows == 4
    assert receipt.HasField("delete_time")
    assert key not in world.keys(LIBRARY, ada)
    assert (await world.fetch(link))[0] == 404
    assert [each.name for each in (await ada.list()).assets] == [made.name]
    own = UUID(asset.name.removeprefix("assets/"))
    for where in ("uploads WHERE asset", "lineage WHERE input", "objects WHERE asset", "assets WHERE id"):
        assert not await world.sql(f"SELECT 1 FROM {where} = $1", own)  # noqa: S608 - words of this test
    for rpc, request in (
        ("GetAsset", assets_pb2.GetAssetRequest(name=asset.name)),
        ("DownloadAsset", assets_pb2.DownloadAssetRequest(name=asset.name)),
        ("DeleteAsset", assets_pb2.DeleteAssetRequest(name=asset.name)),
    ):
        with pytest.raises(Refusal) as refused:
            await ada.call(rpc, request)
        assert refused.value.reason == "ASSET_NOT_FOUND"


async def test_what_was_made_from_a_deleted_upload_stays_a_work_with_an_upload_among_its_ancestors(
    ada: Person, world: World, photo: bytes
) -> None:
    asset = await ada.upload(photo)
    made = await world.store(header_for(ada, makers.png(), inputs=[asset.name]), makers.png())
    await deleted(ada, asset.name)
    own = UUID(made.name.removeprefix("assets/"))
    (row,) = await world.sql("SELECT from_upload FROM assets WHERE id = $1", own)
    assert row["from_upload"]
    assert await ada.download(made.name)


async def test_only_the_owner_deletes_and_not_what_changed_in_between(ada: Person, bob: Person) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    for name in (asset.name, f"assets/{uuid4()}", "assets/../x"):
        with pytest.raises(Refusal) as refused:
            await deleted(bob, name)
        assert (refused.value.status, refused.value.reason) == ("NOT_FOUND", "ASSET_NOT_FOUND")
    with pytest.raises(Refusal) as refused:
        await deleted(ada, asset.name, '"7"')
    assert (refused.value.status, refused.value.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert await ada.download(asset.name)


async def test_of_two_who_delete_at_once_one_has_the_receipt(ada: Person) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    answers = await asyncio.gather(*(deleted(ada, asset.name) for _ in range(3)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == [
        "DeletionReceipt", "NotFound", "NotFound",
    ]  # fmt: skip


@pytest.mark.promise("9-delete-item")
async def test_who_refers_to_a_deleted_asset_is_told_once_and_only_if_it_is_gone(
    ada: Person, world: World, announced: Announced
) -> None:
    header = header_for(ada, makers.png())
    made = await world.store(header, makers.png())
    with pytest.raises(Refusal):
        await deleted(ada, made.name, '"7"')
    await asyncio.gather(*(deleted(ada, made.name) for _ in range(2)), return_exceptions=True)
    (told,) = await announced(events_pb2.AssetDeleted, ada.account)
    assert told == events_pb2.AssetDeleted(account=ada.account, asset=made.name, generation=header.generation)


@pytest.mark.promise("9-delete-item")
async def test_outputs_of_a_deleted_generation_stay_and_name_it_no_more(
    ada: Person, bob: Person, world: World
) -> None:
    made, other = [await world.store(header_for(ada, makers.png()), makers.png()) for _ in range(2)]
    gone = [GenerationDeleted(account=bob.account, generation=other.generation)]  # not his: it says nothing
    gone += [GenerationDeleted(account=ada.account, generation=made.generation)] * 2
    for event in gone:
        await world.announce(event)
    await eventually(lambda: forgotten(ada, made.name))
    assert await ada.download(made.name)
    assert (await ada.get(other.name)).generation


@pytest.mark.promise("9-housekeeping")
async def test_that_a_notice_has_gone_out_is_heard(ada: Person, world: World) -> None:
    asset, notice = await ada.upload(makers.text(), "text/plain"), uuid4()
    waiting = (
        "INSERT INTO countdowns (asset, account, since, told, remove_at, notice, asked_at) "
        "SELECT id, account, idle_since, 0, now(), $2, now() FROM assets WHERE id = $1"
    )
    await world.sql(waiting, UUID(asset.name.removeprefix("assets/")), notice)
    event = NoticeSent(account=ada.account, notice=f"notices/{notice}")
    event.send_time.GetCurrentTime()
    await world.announce(event)
    await eventually(lambda: world.sql("SELECT FROM countdowns WHERE account = $1 AND told = 1", ada.id))
    assert (await deleted(ada, asset.name)).rows == 4  # with its upload, and what was to be drawn


async def forgotten(person: Person, asset: str) -> bool:
    return not (await person.get(asset)).generation


@pytest.mark.promise("9-delete-item")
async def test_bytes_that_storage_does_not_remove_are_told_and_removed_by_the_sweeper(
    ada: Person, world: World, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = await ada.upload(photo)
    key = await world.key_of(asset.name)

    async def away(_keys: object) -> None:
        raise LibraryBusy

    with monkeypatch.context() as storage:
        storage.setattr(world.desk.storage, "remove", away)
        receipt = await deleted(ada, asset.name)
    assert (receipt.objects, receipt.objects_pending) == (0, 1)
    assert key in world.keys(LIBRARY, ada)
    await sweeper(world).sweep_library()
    assert key not in world.keys(LIBRARY, ada)
