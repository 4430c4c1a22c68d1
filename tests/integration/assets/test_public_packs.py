"""A pack's flag shows the pack; what was public in it stays public whatever becomes of the flag."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from crafiq.assets.v1 import assets_pb2

from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_packs import a_pack, added, got, refusal, texts, updated
from tests.integration.assets.test_publishing import anonymised, own, published, shown
from tests.integration.assets.world import Person, World


async def opened(person: Person, pack: str, *, confirm: bool = True) -> assets_pb2.Pack:
    """The pack, shown to everyone."""
    request = assets_pb2.PublishPackRequest(name=pack, confirm=confirm, attribution=assets_pb2.NAMED)
    answer: assets_pb2.Pack = await person.call("PublishPack", request)
    return answer


async def hidden(person: Person, pack: str) -> assets_pb2.Pack:
    answer: assets_pb2.Pack = await person.call("UnpublishPack", assets_pb2.UnpublishPackRequest(name=pack))
    return answer


async def seen(world: World, pack: str) -> assets_pb2.PublicPack | None:
    """The pack as nobody in particular sees it."""
    token = ""
    while True:
        request = assets_pb2.ListPublicPacksRequest(page_size=2, page_token=token)
        page = await world.call("ListPublicPacks", request)
        for each in page.packs:
            if each.name == pack:
                found: assets_pb2.PublicPack = each
                return found
        token = page.next_page_token
        if not token:
            return None


async def works(world: World, person: Person) -> dict[str, str]:
    """Which publication was made of each asset of somebody's."""
    rows = await world.sql("SELECT asset, id FROM publications WHERE account = $1", person.id)
    return {f"assets/{row['asset']}": f"publications/{row['id']}" for row in rows}


@pytest.mark.promise("5-public-set")
async def test_publishing_a_pack_makes_public_what_is_in_it(ada: Person, world: World) -> None:
    first, second, other = await texts(ada, 3)
    already = await published(ada, second)
    pack = await added(ada, (await a_pack(ada)).name, second, first)
    assert await refusal(opened(ada, pack.name, confirm=False)) == "CONFIRMATION_NEEDED"
    assert not (await got(ada, pack.name)).public
    assert await seen(world, pack.name) is None
    assert (await opened(ada, pack.name)).public
    made = await works(world, ada)
    assert made.keys() == {first, second}
    assert made[second] == already.name
    public = await seen(world, pack.name)
    assert public is not None
    assert (public.title, list(public.publications)) == ("Kettles", [made[second], made[first]])
    assert await opened(ada, pack.name)
    assert await works(world, ada) == made
    assert other not in made


@pytest.mark.promise("5-public-set")
async def test_adding_to_a_public_pack_is_publishing_and_needs_the_same_confirmation(
    ada: Person, bob: Person, world: World
) -> None:
    (asset,), (his,) = await texts(ada, 1), await texts(bob, 1)
    pack = await opened(ada, (await a_pack(ada)).name)
    assert await refusal(added(ada, pack.name, asset)) == "CONFIRMATION_NEEDED"
    assert not await works(world, ada)

    def adding(*assets: str) -> Any:
        return ada.call("AddAssets", assets_pb2.AddAssetsRequest(name=pack.name, assets=assets, confirm=True))

    assert await refusal(adding(his)) == "ASSET_NOT_FOUND"
    assert not await works(world, bob)
    assert list((await adding(asset)).assets) == [asset]
    made = await works(world, ada)
    (row,) = await world.sql("SELECT attribution FROM publications WHERE id = $1", own(made[asset]))
    assert row["attribution"] == "ANONYMOUS"  # nobody is named who did not say so
    public = await seen(world, pack.name)
    assert public is not None
    assert list(public.publications) == [made[asset]]


@pytest.mark.promise("5-public-irreversible")
async def test_making_a_pack_private_again_takes_nothing_back(ada: Person, world: World) -> None:
    (asset,) = await texts(ada, 1)
    pack = await added(ada, (await a_pack(ada)).name, asset)
    await opened(ada, pack.name)
    made = await works(world, ada)
    assert not (await hidden(ada, pack.name)).public
    assert await seen(world, pack.name) is None
    assert (await shown(world, made[asset])).name == made[asset]
    await ada.call("DeletePack", assets_pb2.DeletePackRequest(name=pack.name))
    assert (await shown(world, made[asset])).name == made[asset]


@pytest.mark.promise("9-delete-item", "9-public-remains")
async def test_the_receipt_of_a_public_pack_says_that_its_works_stay(ada: Person, world: World) -> None:
    first, second = await texts(ada, 2)
    pack = await added(ada, (await a_pack(ada)).name, first, second)
    await opened(ada, pack.name)
    made = await works(world, ada)
    await anonymised(ada, made[first])
    receipt = (await ada.call("DeletePack", assets_pb2.DeletePackRequest(name=pack.name))).receipt
    assert receipt.was_public
    assert (receipt.rows, receipt.assets_kept, receipt.publications_kept) == (3, 2, 1)
    assert await seen(world, pack.name) is None
    for each in made.values():
        assert (await shown(world, each)).name == each


@pytest.mark.promise("3-packs", "5-public-choice", "9-public-remains")
async def test_a_public_pack_survives_what_is_let_go_of_or_deleted(ada: Person, world: World) -> None:
    first, second, third = await texts(ada, 3)
    pack = await added(ada, (await a_pack(ada)).name, first, second, third)
    await opened(ada, pack.name)
    made = await works(world, ada)
    await anonymised(ada, made[first])
    await deleted(ada, second)
    public = await seen(world, pack.name)
    assert public is not None
    assert list(public.publications) == [made[third]]
    for each in made.values():
        assert (await shown(world, each)).name == each
    assert (await updated(ada, pack.name, "title", title="Pots")).title == "Pots"


@pytest.mark.promise("9-public-remains", "9-public-anon")
async def test_public_packs_dissolve_with_their_person_and_the_works_stay(ada: Person, world: World) -> None:
    (asset,) = await texts(ada, 1)
    pack = await added(ada, (await a_pack(ada)).name, asset)
    await opened(ada, pack.name)
    made = await works(world, ada)
    await world.sql("UPDATE publications SET asset = NULL, attribution = NULL WHERE account = $1", ada.id)
    await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)
    assert await seen(world, pack.name) is None
    assert not await world.sql("SELECT 1 FROM packs WHERE id = $1", UUID(pack.name.partition("/")[2]))
    assert (await shown(world, made[asset])).username == ""


@pytest.mark.promise("2b-output-owner")
async def test_nobody_shows_or_hides_another_persons_pack(ada: Person, bob: Person) -> None:
    pack = await a_pack(ada)
    assert await refusal(opened(bob, pack.name)) == "PACK_NOT_FOUND"
    assert await refusal(hidden(bob, pack.name)) == "PACK_NOT_FOUND"
