"""How often a public work was looked at is known; who looked is not."""

from __future__ import annotations

import asyncio

import pytest
from crafiq.assets.v1 import assets_pb2

from services.assets.repository import Views
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_leftovers import locked
from tests.integration.assets.test_publishing import own, published, shown
from tests.integration.assets.world import Person, World
from tests.support import eventually
from tests.unit.assets import makers


@pytest.fixture
async def publication(ada: Person) -> assets_pb2.Publication:
    return await published(ada, (await ada.upload(makers.text(), "text/plain")).name)


async def _views(world: World, publication: str, owner: Person, number: int) -> bool:
    """Whether its owner is told of so many: the service may be writing them by itself at this moment."""
    return (await shown(world, publication, owner)).views == number


@pytest.mark.promise("2b-interaction", "2b-interaction-nocontent")
async def test_views_of_others_are_counted_without_who_and_when(
    ada: Person, bob: Person, world: World, publication: assets_pb2.Publication
) -> None:
    assert publication.views == 0
    for person in (bob, bob, None, ada, ada):
        await shown(world, publication.name, person)
    await bob.call("LikePublication", assets_pb2.LikePublicationRequest(name=publication.name))
    await bob.call("ListPublications", assets_pb2.ListPublicationsRequest())
    await world.desk.views.write()
    await eventually(lambda: _views(world, publication.name, ada, 3))  # not her own, not lists, not likes
    (row,) = await world.sql("SELECT * FROM publication_counts WHERE publication = $1", own(publication.name))
    assert dict(row) == {"publication": own(publication.name), "likes": 1, "views": 3}


@pytest.mark.promise("9-public-remains")
async def test_views_stay_when_the_owner_lets_go(
    ada: Person, bob: Person, world: World, publication: assets_pb2.Publication
) -> None:
    await shown(world, publication.name, bob)
    await world.desk.views.write()
    await deleted(ada, publication.asset)
    await eventually(lambda: _views(world, publication.name, ada, 1))


async def test_two_processes_count_together(world: World, publication: assets_pb2.Publication) -> None:
    both = Views(world.desk.views._db), Views(world.desk.views._db)
    for _ in range(50):
        for views in both:
            views.saw(own(publication.name))
        await asyncio.gather(*(views.write() for views in both))
    assert (await shown(world, publication.name)).views == 100


async def test_views_survive_a_database_that_is_away_for_a_moment(
    world: World, publication: assets_pb2.Publication
) -> None:
    views = Views(world.desk.views._db)
    views.saw(own(publication.name))
    async with locked(world, "publication_counts"):
        writing = asyncio.create_task(views.write())
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    views.saw(own(publication.name))
    await views.write()
    assert (await shown(world, publication.name)).views == 2


async def test_what_is_in_memory_is_written_when_the_service_ends(
    ada: Person, world: World, publication: assets_pb2.Publication
) -> None:
    other = World(world.infra, world.database)
    async with other.serving():
        await shown(other, publication.name)

    await eventually(lambda: _views(world, publication.name, ada, 1))
