"""What generation takes from a library and brings into it."""

from __future__ import annotations

import asyncio
import io
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from PIL import Image

from chassis.errors import Refusal
from tests.integration.assets.world import LIBRARY, Person, World, digest, header_for, parts
from tests.unit.assets import makers


@pytest.mark.promise("2b-output", "2b-output-owner")
async def test_an_output_is_stored_for_its_owner_with_its_lineage(
    ada: Person, world: World, photo: bytes
) -> None:
    source = await ada.upload(photo)
    header = header_for(ada, makers.png(), index=2, inputs=[source.name])

    stored = await world.store(header, makers.png())

    assert (stored.origin, stored.kind, stored.generation) == (
        assets_pb2.OUTPUT,
        assets_pb2.IMAGE,
        header.generation,
    )
    assert stored.title == "output-3.png"
    stored.renditions_pending = True  # which only its owner is told, as when it goes
    found = await ada.get(stored.name)
    stored.expire_time.CopyFrom(found.expire_time)
    assert found == stored
    kept = await ada.download(stored.name)
    assert makers.SECRET not in kept
    assert digest(kept) == stored.sha256
    edges = await world.sql("SELECT input FROM lineage WHERE output = $1", UUID(stored.name[7:]))
    assert [f"assets/{row['input']}" for row in edges] == [source.name]


@pytest.mark.promise("3-no-train-uploads")
async def test_what_was_made_from_an_upload_stays_known_as_that(
    ada: Person, world: World, photo: bytes
) -> None:
    source = await ada.upload(photo)
    from_words = await world.store(header_for(ada, makers.png()), makers.png())
    first = await world.store(header_for(ada, makers.png(), inputs=[source.name]), makers.png())
    second = await world.store(
        header_for(ada, makers.png(), inputs=[first.name, from_words.name]), makers.png()
    )
    clean = await world.store(header_for(ada, makers.png(), inputs=[from_words.name]), makers.png())
    await world.sql("DELETE FROM assets WHERE id = $1", UUID(source.name[7:]))
    rows = await world.sql("SELECT id, from_upload FROM assets WHERE account = $1", ada.id)
    known = {f"assets/{row['id']}": row["from_upload"] for row in rows}
    assert known == {from_words.name: False, first.name: True, second.name: True, clean.name: False}


async def test_an_output_brought_again_and_at_once_is_stored_once(ada: Person, world: World) -> None:
    header = header_for(ada, makers.png())
    stored = await asyncio.gather(*(world.store(header, makers.png()) for _ in range(5)))
    again = await world.store(header, makers.png())
    assert {asset.name for asset in stored} == {again.name}
    assert len((await ada.list()).assets) == 1


async def test_a_large_output_arrives_in_chunks(ada: Person, world: World) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((1200, 1200), 90).save(buffer, "PNG")
    content = buffer.getvalue()
    assert len(content) > 1_000_000
    stored = await world.store(header_for(ada, content), content)
    assert await ada.download(stored.name) == content
    assert (stored.width, stored.height) == (1200, 1200)


@pytest.mark.parametrize(("change", "reason"), [
    ({"size_bytes": 10}, "OUTPUT_INCOMPLETE"),
    ({"size_bytes": 10**6}, "OUTPUT_INCOMPLETE"),
    ({"size_bytes": 10**9}, "CONTENT_TOO_LARGE"),
    ({"sha256": "0" * 64}, "CONTENT_CHANGED"),
    ({"content_type": "image/jpeg"}, "CONTENT_TYPE_MISMATCH"),
    ({"content_type": "application/zip"}, "CONTENT_TYPE_UNSUPPORTED"),
    ({"sha256": "short"}, "INVALID_REQUEST"),
    ({"index": -1}, "INVALID_REQUEST"),
])  # fmt: skip
async def test_an_output_that_lies_is_refused_and_leaves_nothing(
    ada: Person, world: World, change: dict[str, object], reason: str
) -> None:
    before = world.keys(LIBRARY, ada)
    with pytest.raises(Refusal) as refused:
        await world.store(header_for(ada, makers.png(), **change), makers.png())
    assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", reason)
    assert world.keys(LIBRARY, ada) == before
    assert not (await ada.list()).assets


async def test_a_stream_without_its_header_is_refused(ada: Person, world: World) -> None:
    stream = [assets_pb2.StoreOutputRequest(chunk=b"bytes")]
    for requests in (stream, []):
        with pytest.raises(Refusal) as refused:
            await world.call("StoreOutput", iter(requests), caller="generation")
        assert refused.value.reason == "OUTPUT_INCOMPLETE"
    header = header_for(ada, makers.png())
    twice = [*parts(header, makers.png()), assets_pb2.StoreOutputRequest(header=header)]
    with pytest.raises(Refusal) as refused:
        await world.call("StoreOutput", iter(twice), caller="generation")
    assert refused.value.reason == "OUTPUT_INCOMPLETE"


async def test_names_that_are_none_are_refused_and_not_a_fault(ada: Person, world: World) -> None:
    for change in ({"account": "accounts/x"}, {"generation": "generations/x"}, {"inputs": ["assets/x"]}):
        with pytest.raises(Refusal) as refused:
            await world.store(header_for(ada, makers.png(), **change), makers.png())
        assert refused.value.status in {"INVALID_ARGUMENT", "NOT_FOUND"}
    for account in ("accounts/x", "accounts/", "accounts/' OR 1=1"):
        request = assets_pb2.CheckInputsRequest(account=account, assets=[])
        with pytest.raises(Refusal) as refused:
            await world.call("CheckInputs", request, caller="generation")
        assert refused.value.status in {"INVALID_ARGUMENT", "NOT_FOUND"}


@pytest.mark.promise("3-operate", "2a-input-purpose")
async def test_only_generation_brings_and_takes(ada: Person, world: World, photo: bytes) -> None:
    asset = await ada.upload(photo)
    calls = {
        "CheckInputs": assets_pb2.CheckInputsRequest(account=ada.account, assets=[asset.name]),
        "OpenInput": assets_pb2.OpenInputRequest(account=ada.account, asset=asset.name),
    }
    for caller in ("gateway", "billing", "identity", "privacy"):
        metadata = world.tokens.metadata(ada.id)
        for rpc, request in calls.items():
            with pytest.raises(Refusal) as refused:
                await world.call(rpc, request, caller=caller, metadata=metadata)
            assert refused.value.status in {"PERMISSION_DENIED", "UNAUTHENTICATED"}
        with pytest.raises(Refusal) as refused:
            await world.store(header_for(ada, makers.png()), makers.png(), caller=caller)
        assert refused.value.status in {"PERMISSION_DENIED", "UNAUTHENTICATED"}


@pytest.mark.promise("5-ai-min-input", "2a-input-media")
async def test_inputs_are_checked_in_order_and_opened_stripped(
    ada: Person, world: World, photo: bytes
) -> None:
    first = await ada.upload(photo)
    second = await ada.upload(makers.png(), "image/png")
    request = assets_pb2.CheckInputsRequest(
        account=ada.account, assets=[second.name, first.name, second.name]
    )
    answer = await world.call("CheckInputs", request, caller="generation")
    assert [asset.name for asset in answer.assets] == [second.name, first.name, second.name]
    assert not any(asset.title for asset in answer.assets)
    opened = await world.call(
        "OpenInput", assets_pb2.OpenInputRequest(account=ada.account, asset=first.name), caller="generation"
    )
    status, headers, body = await world.fetch(opened.url)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert (opened.content_type, opened.size_bytes, opened.sha256) == ("image/jpeg", len(body), digest(body))
    assert b"CANARY-AUTHOR" not in body
    assert "holiday" not in opened.url


@pytest.mark.promise("2b-output-owner")
async def test_another_persons_asset_is_no_input(
    ada: Person, bob: Person, world: World, photo: bytes
) -> None:
    asset = await ada.upload(photo)
    missing = f"assets/{uuid4()}"
    told = []
    for name in (asset.name, missing):
        request = assets_pb2.CheckInputsRequest(account=bob.account, assets=[name])
        open_it = assets_pb2.OpenInputRequest(account=bob.account, asset=name)
        with pytest.raises(Refusal) as refused:
            await world.call("CheckInputs", request, caller="generation")
        told.append(str(refused.value).replace(name, ""))
        with pytest.raises(Refusal) as opened:
            await world.call("OpenInput", open_it, caller="generation")
        assert refused.value.reason == opened.value.reason == "ASSET_NOT_FOUND"
    assert told[0] == told[1]
    stored = await world.store(header_for(bob, makers.png(), inputs=[asset.name]), makers.png())
    assert not await world.sql("SELECT 1 FROM lineage WHERE output = $1", UUID(stored.name[7:]))
    rows = await world.sql("SELECT from_upload FROM assets WHERE id = $1", UUID(stored.name[7:]))
    assert rows[0]["from_upload"]  # of what it was made is not known, so it counts as an upload


async def test_nothing_is_stored_for_somebody_who_is_not_known(world: World) -> None:
    nobody = Person(world)
    with pytest.raises(Refusal) as refused:
        await world.store(header_for(nobody, makers.png()), makers.png())
    assert refused.value.status == "UNAVAILABLE"
