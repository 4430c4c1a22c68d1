"""Thumbnails and posters come after their asset, go with it, and are public with it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from PIL import Image

from chassis.errors import Refusal
from services.assets.adapters.blobs import StorageUnavailable
from services.assets.adapters.renderer import Renderer, RenderingFailed
from services.assets.domain.renditions import LEASE, PublicRendition, Rendering
from services.assets.jobs import Artist
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_leftovers import locked, process, sweeper
from tests.integration.assets.test_packs import a_pack, added, texts
from tests.integration.assets.test_public_packs import opened, seen
from tests.integration.assets.test_publishing import anonymised, own, public_keys, published, refusal, shown
from tests.integration.assets.world import LIBRARY, PUBLIC, Person, World, header_for
from tests.support import eventually
from tests.unit.assets import makers, reels
from tests.unit.assets.test_renderer import artists

KINDS = ["poster", "thumbnail"]


@pytest.fixture
async def artist(world: World) -> Artist:
    """Somebody to draw what this test brings, and nothing that others left."""
    await world.sql("UPDATE renderings SET due = NULL")
    return artist_with(world, Renderer())


def artist_with(world: World, renderer: Renderer) -> Artist:
    return Artist(world.desk.renditions, world.desk.library, world.desk.storage, renderer)


class Broken(Renderer):
    """Nothing can be drawn."""

    async def draw(self, _type: str, _content: AsyncGenerator[bytes, None]) -> list[bytes]:
        raise RenderingFailed("broken")


class Quick(Renderer):
    """Draws nothing but the same two pictures; `meanwhile` is what happens while it does."""

    def __init__(self, meanwhile: Any = None) -> None:
        super().__init__()
        self.drawn, self._meanwhile = 0, meanwhile

    async def draw(self, _type: str, content: AsyncGenerator[bytes, None]) -> list[bytes]:
        self.drawn += 1
        async for _ in content:
            pass
        if self._meanwhile is not None:
            await self._meanwhile()
        return [makers.webp(), makers.webp()]


async def objects_of(world: World, name: str) -> set[UUID]:
    """The keys of everything that is stored of an asset."""
    return {row["key"] for row in await world.sql("SELECT key FROM objects WHERE asset = $1", own(name))}


async def work_on(world: World, name: str) -> Any:
    """What is known of the drawing of an asset or a publication."""
    (row,) = await world.sql("SELECT * FROM renderings WHERE id = $1", own(name))
    return row


def urls(message: Any) -> dict[str, str]:
    return {each.kind: each.url for each in message.renditions}


async def picture(world: World, url: str) -> Image.Image:
    """What a browser shows."""
    status, headers, body = await world.fetch(url)
    assert (status, headers["content-type"]) == (200, "image/webp")
    image = Image.open(io.BytesIO(body))
    image.load()
    assert not {"exif", "xmp", "icc_profile"} & image.info.keys()
    return image


def colour(image: Image.Image) -> tuple[int, ...]:
    """That of a small part of a picture, the mean of its pixels."""
    part = image.convert("RGB").crop((140, 320, 160, 340)).resize((1, 1), Image.Resampling.BOX)
    return tuple(part.tobytes())


@pytest.mark.promise("2b-output", "2a-input-media")
async def test_a_photo_gets_a_poster_and_a_thumbnail_without_its_metadata(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    assert (asset.renditions_pending, list(asset.renditions)) == (True, [])
    assert await artist.draw_one()
    after = await ada.get(asset.name)
    assert not after.renditions_pending
    assert after.etag == asset.etag
    assert [each.kind for each in after.renditions] == KINDS
    for each, side in zip(after.renditions, (512, 256), strict=True):
        assert (each.content_type, each.width, each.height) == ("image/webp", side, side)
        image = await picture(world, each.url)
        assert image.size == (side, side)
        assert each.HasField("expires_at")
        lives = each.expires_at.ToDatetime(UTC) - datetime.now(UTC)
        assert timedelta() < lives <= timedelta(seconds=60)
    seen, real = colour(await picture(world, after.renditions[0].url)), colour(Image.open(io.BytesIO(photo)))
    assert all(abs(one - other) < 12 for one, other in zip(seen, real, strict=True)), (seen, real)
    assert not await artist.draw_one()


async def test_a_page_of_the_library_asks_once_for_all_that_hangs_on_it(
    ada: Person, world: World, artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await ada.upload(makers.text(), "text/plain") for _ in range(2)]
    while await artist.draw_one():
        pass
    publication = await published(ada, first.name)
    asked, about = [], world.desk.renditions.about

    async def counted(assets: Any) -> Any:
        asked.append(assets)
        return await about(assets)

    monkeypatch.setattr(world.desk.renditions, "about", counted)
    listed = (await ada.list()).assets
    assert [each.publication for each in listed] == ["", publication.name]
    assert [list(urls(each)) for each in listed] == [KINDS, KINDS]
    assert len(asked) == 1
    assert (await ada.get(first.name)).publication == publication.name
    await anonymised(ada, publication.name)
    assert (await ada.get(first.name)).publication == ""
    assert second.publication == ""


@pytest.mark.promise("2b-output-owner", "8-least-priv")
async def test_only_the_owner_is_told_where_renditions_are(
    ada: Person, bob: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    header = header_for(ada, makers.png(), inputs=[asset.name])
    await world.store(header, makers.png())
    while await artist.draw_one():
        pass
    assert urls(await ada.get(asset.name))
    assert await refusal(bob.get(asset.name)) == "ASSET_NOT_FOUND"
    assert not (await bob.list()).assets
    request = assets_pb2.CheckInputsRequest(account=ada.account, assets=[asset.name])
    checked = await world.call("CheckInputs", request, caller="generation")
    stored = await world.store(header, makers.png())
    for told in (checked.assets[0], stored):
        assert (list(told.renditions), told.publication, told.renditions_pending) == ([], "", False)
    key = next(iter(await objects_of(world, asset.name) - {await world.key_of(asset.name)}))
    assert (await world.fetch(f"{world.infra.s3.url}/{LIBRARY}/{key}"))[0] == 403


async def test_every_kind_that_can_be_seen_is_drawn(ada: Person, artist: Artist) -> None:
    for content, content_type, kinds in (
        (makers.gif(), "image/gif", KINDS),
        (makers.wav(), "audio/wav", KINDS),
        (makers.glb(), "model/gltf-binary", KINDS),
        (reels.film([reels.scene((64, 64))] * 5), "video/mp4", KINDS),
        ("日本語".encode(), "text/plain", []),
    ):
        asset = await ada.upload(content, content_type)
        await artist.draw_one()
        after = await ada.get(asset.name)
        assert (list(urls(after)), after.renditions_pending) == (kinds, False), content_type


async def test_what_can_not_be_drawn_is_tried_three_times_and_then_remembered(
    ada: Person, world: World, artist: Artist
) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    for tries in (1, 2, 3):
        assert await artist_with(world, Broken()).draw_one()
        row = await work_on(world, asset.name)
        assert row["tries"] == tries
        assert (await ada.get(asset.name)).renditions_pending is (tries < 3)
        if tries < 3:
            assert row["due"] > datetime.now(UTC) + timedelta(seconds=5)
            assert not await artist.draw_one()
            await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(asset.name))
    assert row["due"] is None
    await artist.find_overlooked()
    await world.desk.renditions.give_up()
    assert not await artist.draw_one()
    after = await ada.get(asset.name)
    assert (list(after.renditions), after.renditions_pending) == ([], False)


async def test_while_storage_is_away_no_try_is_lost(
    ada: Person, world: World, artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = await ada.upload(makers.text(), "text/plain")

    async def away(_key: object) -> AsyncGenerator[bytes, None]:
        raise StorageUnavailable
        yield b""

    with monkeypatch.context() as storage:
        storage.setattr(world.desk.storage, "read", away)
        assert await artist.draw_one()
    row = await work_on(world, asset.name)
    assert (row["tries"], row["due"] > datetime.now(UTC) + timedelta(seconds=10)) == (0, True)
    await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(asset.name))
    assert await artist.draw_one()
    assert list(urls(await ada.get(asset.name))) == KINDS


async def test_a_killed_drawing_process_is_a_try_and_the_next_one_succeeds(
    ada: Person, world: World, artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = await ada.upload(makers.png(), "image/png")
    read = world.desk.storage.read

    async def kills(key: UUID) -> AsyncGenerator[bytes, None]:
        (own_process,) = await eventually(artists)
        os.kill(own_process, signal.SIGKILL)
        async for part in read(key):
            yield part

    with monkeypatch.context() as storage:
        storage.setattr(world.desk.storage, "read", kills)
        assert await artist.draw_one()
    assert not (await ada.get(asset.name)).renditions
    await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(asset.name))
    assert await artist.draw_one()
    assert list(urls(await ada.get(asset.name))) == KINDS
    assert (await work_on(world, asset.name))["tries"] == 2


async def test_two_who_draw_at_once_draw_each_thing_once(ada: Person, world: World, artist: Artist) -> None:
    names = [(await ada.upload(makers.text(), "text/plain")).name for _ in range(3)]
    quick = Quick()
    took = await asyncio.gather(*(artist_with(world, quick).draw_one() for _ in range(5)))
    assert sorted(took) == [False, False, True, True, True]
    assert quick.drawn == 3
    for name in names:
        assert len(await objects_of(world, name)) == 3


async def test_who_lost_the_lease_changes_nothing_and_leaves_nothing(
    ada: Person, world: World, artist: Artist
) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    before = world.keys(LIBRARY, ada)

    async def somebody_else_is_faster() -> None:
        await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(asset.name))
        assert await artist_with(world, Quick()).draw_one()

    assert await artist_with(world, Quick(somebody_else_is_faster)).draw_one()
    renditions = {
        row["object"]
        for row in await world.sql("SELECT object FROM renditions WHERE asset = $1", own(asset.name))
    }
    assert len(renditions) == 2
    assert world.keys(LIBRARY, ada) - before == renditions
    assert not await artist.draw_one()


async def test_whoever_is_told_to_stop_puts_back_what_is_in_hand(
    ada: Person, world: World, artist: Artist
) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    begun = asyncio.Event()

    async def long() -> None:
        begun.set()
        await asyncio.sleep(60)

    drawing = asyncio.create_task(artist_with(world, Quick(long)).draw_one())
    await begun.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert (await work_on(world, asset.name))["tries"] == 0
    assert await artist.draw_one()
    assert list(urls(await ada.get(asset.name))) == KINDS


@pytest.mark.timeout(150)
async def test_a_service_killed_between_write_and_commit_leaves_the_drawing_to_another(
    ada: Person, world: World, artist: Artist, tmp_path: Path
) -> None:
    asset = await ada.upload(makers.png(), "image/png")
    before = world.keys(LIBRARY, ada)
    async with locked(world, "renditions"):
        with process(world, tmp_path, CRAFIQ_DRAWN="1") as (running, _):
            left = await eventually(
                lambda: found if len(found := world.keys(LIBRARY, ada) - before) == 2 else None, timeout=60
            )
            running.kill()
            await asyncio.to_thread(running.wait)
    assert not (await ada.get(asset.name)).renditions
    assert not await artist.draw_one()  # the lease of the dead is not over
    row = await work_on(world, asset.name)
    assert row["due"] - datetime.now(UTC) < LEASE
    await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(asset.name))
    assert await artist.draw_one()
    assert list(urls(await ada.get(asset.name))) == KINDS
    await sweeper(world, timedelta(minutes=4)).sweep_library()
    assert not left & world.keys(LIBRARY, ada)
    assert await objects_of(world, asset.name) <= world.keys(LIBRARY, ada)


async def test_what_died_with_three_workers_is_given_up(ada: Person, world: World, artist: Artist) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    await world.sql("UPDATE renderings SET tries = 3, due = now() WHERE id = $1", own(asset.name))
    assert not await artist.draw_one()
    await world.desk.renditions.give_up()
    assert not (await ada.get(asset.name)).renditions_pending


async def test_the_service_itself_draws_in_the_background(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    drawing = World(world.infra, world.database)
    async with drawing.serving(drawn=1):
        asset = await ada.upload(photo)

        async def there() -> bool:
            return not (await ada.get(asset.name)).renditions_pending

        await eventually(there, timeout=40)
    assert list(urls(await ada.get(asset.name))) == KINDS
    assert not artists()


@pytest.mark.promise("9-delete-item")
async def test_renditions_go_with_their_asset_and_the_receipt_counts_them(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    assert await artist.draw_one()
    keys, links = await objects_of(world, asset.name), urls(await ada.get(asset.name))
    assert len(keys) == 3
    receipt = await deleted(ada, asset.name)
    assert (receipt.objects, receipt.objects_pending) == (3, 0)
    assert receipt.rows == 5  # the asset, its upload, two renditions, that they were to be drawn
    assert not keys & world.keys(LIBRARY, ada)
    for url in links.values():
        assert (await world.fetch(url))[0] == 404
    for table in ("renditions WHERE asset", "renderings WHERE id", "objects WHERE asset"):
        assert not await world.sql(f"SELECT 1 FROM {table} = $1", own(asset.name))  # noqa: S608 - words of this test


@pytest.mark.promise("9-delete-item", "9-delete-now")
async def test_what_is_deleted_while_it_is_drawn_stays_deleted(
    ada: Person, world: World, artist: Artist
) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    before = world.keys(LIBRARY, ada)

    async def unwanted() -> None:
        await deleted(ada, asset.name)

    assert await artist_with(world, Quick(unwanted)).draw_one()
    assert not world.keys(LIBRARY, ada) - before
    assert not await world.sql("SELECT 1 FROM renditions WHERE asset = $1", own(asset.name))


@pytest.mark.promise("9-delete-now")
async def test_renditions_go_with_their_person(
    ada: Person, bob: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset, unfinished, his = await ada.upload(photo), await ada.upload(photo), await bob.upload(photo)
    assert await artist.draw_one()  # his, the last
    await world.sql("UPDATE renderings SET due = NULL WHERE id = $1", own(unfinished.name))
    assert await artist.draw_one()
    keys = await objects_of(world, asset.name)
    assert len(keys) == 3

    async def gone() -> None:
        await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)

    await world.sql("UPDATE renderings SET due = now() WHERE id = $1", own(unfinished.name))
    assert await artist_with(world, Quick(gone)).draw_one()
    await sweeper(world).sweep_library()
    ids = [own(asset.name), own(unfinished.name)]
    assert not keys & world.keys(LIBRARY, ada)
    assert not await world.sql("SELECT 1 FROM renditions WHERE account = $1", ada.id)
    assert not await world.sql("SELECT 1 FROM renderings WHERE id = ANY($1)", ids)
    assert not await world.sql(
        "SELECT 1 FROM objects WHERE asset = ANY($1) OR key = ANY($2)", ids, list(keys)
    )
    assert list(urls(await bob.get(his.name))) == KINDS


@pytest.mark.promise("2b-output", "5-public-permanent")
async def test_publishing_takes_along_the_renditions_that_are_there(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    assert await artist.draw_one()
    publication = await published(ada, asset.name)
    number = own(publication.name)
    beginning = f"http://localhost:8080/public/{number}/"
    assert urls(publication) == {kind: beginning + kind for kind in ("original", *KINDS)}
    private = {each.kind: each for each in (await ada.get(asset.name)).renditions}
    for each in publication.renditions[1:]:
        assert not each.HasField("expires_at")
        assert (each.size_bytes, each.width) == (private[each.kind].size_bytes, private[each.kind].width)
        stored = await picture(world, f"{world.infra.s3.url}/{PUBLIC}/{number}/{each.kind}")
        assert stored.size == (each.width, each.height)
    assert not await artist.draw_one()
    await deleted(ada, asset.name)
    assert urls(await shown(world, publication.name)) == urls(publication)
    await sweeper(world, timedelta(minutes=4)).sweep_public()
    assert {f"{number}/{kind}" for kind in ("original", *KINDS)} <= public_keys(world)


@pytest.mark.promise("2b-output")
async def test_renditions_that_come_after_publishing_are_shown_then(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    publication = await published(ada, asset.name)
    assert list(urls(publication)) == ["original"]
    quick = Quick()
    assert await artist_with(world, quick).draw_one()  # the asset, for which its publication waits
    assert list(urls(await ada.get(asset.name))) == KINDS
    assert await artist_with(world, quick).draw_one()
    assert list(urls(await shown(world, publication.name))) == ["original", *KINDS]
    assert quick.drawn == 1
    assert not await artist.draw_one()


@pytest.mark.promise("5-public-permanent")
@pytest.mark.parametrize("lets_go", [anonymised, deleted])
async def test_a_work_that_was_let_go_of_before_it_was_drawn_is_drawn_of_its_public_bytes(
    ada: Person, world: World, photo: bytes, artist: Artist, lets_go: Any
) -> None:
    asset = await ada.upload(photo)
    publication = await published(ada, asset.name)
    await lets_go(ada, publication.name if lets_go is anonymised else asset.name)
    while await artist.draw_one():
        pass
    assert list(urls(await shown(world, publication.name))) == ["original", *KINDS]
    stored = await picture(world, f"{world.infra.s3.url}/{PUBLIC}/{own(publication.name)}/thumbnail")
    assert stored.size == (256, 256)


async def test_renditions_that_come_in_between_are_not_missed(
    ada: Person, world: World, photo: bytes, artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing looks for renditions, finds none; they are committed; then the publication is."""
    asset = await ada.upload(photo)
    of = world.desk.renditions.of

    async def a_moment_too_early(key: UUID) -> list[Any]:
        found = await of(key)
        assert await artist.draw_one()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(world.desk.renditions, "of", a_moment_too_early)
        publication = await published(ada, asset.name)
    assert list(urls(publication)) == ["original"]
    assert await artist.draw_one()
    assert list(urls(await shown(world, publication.name))) == ["original", *KINDS]


async def test_a_crash_between_writing_public_renditions_and_committing_them_is_made_good(
    ada: Person, world: World, photo: bytes, artist: Artist
) -> None:
    asset = await ada.upload(photo)
    publication = await published(ada, asset.name)
    await deleted(ada, asset.name)
    number = own(publication.name)
    left = {"kind": "poster", "content": io.BytesIO(b"half"), "length": 4}
    world.s3.put_object(PUBLIC, f"{number}/{left['kind']}", left["content"], left["length"])  # type: ignore[arg-type]
    assert await artist.draw_one()
    assert (await picture(world, f"{world.infra.s3.url}/{PUBLIC}/{number}/poster")).size == (512, 512)


async def test_what_was_taken_down_is_not_drawn_any_more(ada: Person, world: World, artist: Artist) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    publication = await published(ada, asset.name)
    await deleted(ada, asset.name)
    number = own(publication.name)

    async def takedown() -> None:
        await world.sql("UPDATE publications SET taken_down = TRUE WHERE id = $1", number)

    assert await artist_with(world, Quick(takedown)).draw_one()
    assert not await world.sql("SELECT 1 FROM publication_renditions WHERE publication = $1", number)
    assert not {f"{number}/{kind}" for kind in KINDS} & public_keys(world)
    await world.sql("UPDATE renderings SET due = now() WHERE id = $1", number)
    assert await artist.draw_one()
    assert (await work_on(world, publication.name))["due"] is None


async def test_all_that_lies_under_an_abandoned_publication_is_removed(ada: Person, world: World) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    left, kept = uuid4(), uuid4()
    await world.desk.publications.note(left, "", datetime.now(UTC))
    for number in (left, kept):
        for kind in ("original", *KINDS):
            await world.desk.storage.publish(await world.key_of(asset.name), number, kind)
    await sweeper(world, timedelta(minutes=4)).sweep_public()
    found = {key for key in public_keys(world) if key.partition("/")[0] in {str(left), str(kept)}}
    assert found == {f"{kept}/{kind}" for kind in ("original", *KINDS)}


async def test_what_nobody_noted_is_found(ada: Person, world: World, artist: Artist) -> None:
    """It came before there were renditions, or by way of an older version of the service."""
    asset = await ada.upload(makers.png(), "image/png")
    publication = await published(ada, asset.name)
    ids = [own(asset.name), own(publication.name)]
    await world.sql("DELETE FROM renderings WHERE id = ANY($1)", ids)
    assert not (await ada.get(asset.name)).renditions_pending
    await artist.find_overlooked()
    assert (await ada.get(asset.name)).renditions_pending
    while await artist.draw_one():
        pass
    assert list(urls(await ada.get(asset.name))) == KINDS
    assert list(urls(await shown(world, publication.name))) == ["original", *KINDS]


@pytest.mark.promise("3-packs")
async def test_a_pack_shows_the_first_thumbnail_in_it(
    ada: Person, bob: Person, world: World, artist: Artist
) -> None:
    nothing = await ada.upload("日本語".encode(), "text/plain")
    first, second = await texts(ada, 2)
    pack = await added(ada, (await a_pack(ada)).name, nothing.name, second, first)
    assert not pack.HasField("cover")
    while await artist.draw_one():
        pass
    wanted = urls(await ada.get(second))["thumbnail"]
    request = assets_pb2.GetPackRequest(name=pack.name)
    (listed,) = (await ada.call("ListPacks", assets_pb2.ListPacksRequest())).packs
    for seen_by_ada in (await ada.call("GetPack", request), listed):
        assert (seen_by_ada.cover.kind, seen_by_ada.cover.url.partition("?")[0]) == (
            "thumbnail",
            wanted.partition("?")[0],
        )
    await opened(ada, pack.name)
    public = await seen(world, pack.name)
    assert public is not None
    publication = (await ada.get(second)).publication
    assert public.cover.url == f"http://localhost:8080/public/{own(publication)}/thumbnail"
    with pytest.raises(Refusal):
        await bob.call("GetPack", request)


def test_work_is_for_one_thing() -> None:
    asset, publication = uuid4(), uuid4()
    now = datetime.now(UTC)
    assert Rendering.of_asset(asset, now).publication is None
    assert Rendering.of_publication(publication, None).due is None
    assert {column.name for column in PublicRendition.metadata.tables["publication_renditions"].columns} == {
        "publication", "kind", "size_bytes", "width", "height",
    }  # fmt: skip
