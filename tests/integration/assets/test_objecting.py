"""Who objects to training with their public Outputs takes them out, whatever becomes of them later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.privacy.v1 import events_pb2, privacy_pb2

from chassis.deadletters import dead_letters
from services.assets.consumers import Consumers
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_publishing import anonymised, own, published, shown
from tests.integration.assets.world import Person, World, header_for
from tests.support import eventually
from tests.unit.assets import makers

TRAINING, MAIL = privacy_pb2.PUBLIC_OUTPUT_TRAINING, privacy_pb2.MARKETING_EMAIL


async def output(person: Person, world: World) -> str:
    """Something that a model made of words."""
    content = makers.png()
    made: assets_pb2.Asset = await world.store(header_for(person, content), content)
    return made.name


async def work(person: Person, world: World) -> str:
    """The same, made public."""
    return (await published(person, await output(person, world))).name


def changed(
    person: Person, change: int, *, granted: bool, kind: privacy_pb2.ConsentKind.ValueType = TRAINING
) -> events_pb2.ConsentChanged:
    """What privacy announces."""
    return events_pb2.ConsentChanged(account=person.account, change=change, kind=kind, granted=granted)


async def heard(world: World, *events: events_pb2.ConsentChanged) -> None:
    """Events, handled one after the other."""
    for event in events:
        async with world.db.transaction() as tx:
            await Consumers().on_consent_changed(tx, event)


async def trains(world: World, *names: str) -> list[bool]:
    """Which of these works may train a model, as anyone is told."""
    return [(await shown(world, name)).training_eligible for name in names]


@pytest.mark.promise("4-withdraw", "11-object", "3-train-public")
async def test_an_objection_takes_out_what_is_public_and_its_end_gives_it_back(
    ada: Person, bob: Person, world: World
) -> None:
    works = [await work(ada, world), await work(ada, world), await work(bob, world)]
    await world.announce(changed(ada, 1, granted=False))

    async def told(*expected: bool) -> bool:
        return await trains(world, *works) == list(expected)

    await eventually(lambda: told(False, False, True))
    assert not (await shown(world, works[0], ada)).training_eligible
    page = await ada.call("ListPublications", assets_pb2.ListPublicationsRequest(mine=True))
    assert [each.training_eligible for each in page.publications] == [False, False]
    await world.announce(changed(ada, 2, granted=True))
    await eventually(lambda: told(True, True, True))


@pytest.mark.promise("11-object", "3-train-public")
async def test_what_becomes_public_under_an_objection_never_trains(ada: Person, world: World) -> None:
    await heard(world, changed(ada, 1, granted=False))
    alone, packed = await work(ada, world), await output(ada, world)
    pack = await ada.call("CreatePack", assets_pb2.CreatePackRequest(title="All", request_id=str(uuid4())))
    await ada.call("AddAssets", assets_pb2.AddAssetsRequest(name=pack.name, assets=[packed]))
    show = assets_pb2.PublishPackRequest(name=pack.name, confirm=True, attribution=assets_pb2.ANONYMOUS)
    await ada.call("PublishPack", show)
    (row,) = await world.sql("SELECT id FROM publications WHERE asset = $1", own(packed))
    works = [alone, f"publications/{row['id']}"]
    assert await trains(world, *works) == [False, False]
    await heard(world, changed(ada, 2, granted=True))
    assert await trains(world, *works, await work(ada, world)) == [False, False, True]


@pytest.mark.promise("3-no-train-uploads")
async def test_the_end_of_an_objection_makes_nothing_eligible_that_was_not(ada: Person, world: World) -> None:
    upload = await published(ada, (await ada.upload(makers.png(), "image/png")).name)
    await heard(world, changed(ada, 1, granted=False), changed(ada, 2, granted=True))
    assert await trains(world, upload.name) == [False]


async def _let_go(ada: Person, _world: World, name: str) -> None:
    await anonymised(ada, name)


async def _delete_its_asset(ada: Person, world: World, name: str) -> None:
    await deleted(ada, (await shown(world, name, ada)).asset)


async def _erase_the_person(ada: Person, world: World, _name: str) -> None:
    await world.sql("UPDATE publications SET asset = NULL, attribution = NULL WHERE account = $1", ada.id)
    await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)


@pytest.mark.promise("11-object", "4-withdraw", "5-public-choice")
@pytest.mark.parametrize("end", [_let_go, _delete_its_asset, _erase_the_person])
async def test_an_objection_holds_when_the_work_is_nobodys(
    ada: Person, world: World, end: Callable[[Person, World, str], Awaitable[None]]
) -> None:
    before, after = await work(ada, world), await work(ada, world)
    await anonymised(ada, before)
    await heard(world, changed(ada, 1, granted=False))
    await end(ada, world, after)
    assert await trains(world, before, after) == [True, False]
    (row,) = await world.sql("SELECT * FROM training_withdrawn WHERE publication = $1", own(after))
    assert list(row.keys()) == ["publication"], "nothing that says whose it was"


@pytest.mark.promise("11-object")
async def test_nobody_takes_an_objection_back_for_a_work_that_is_nobodys(ada: Person, world: World) -> None:
    gone, kept = await work(ada, world), await work(ada, world)
    await heard(world, changed(ada, 1, granted=False))
    await anonymised(ada, gone)
    await heard(world, changed(ada, 2, granted=True))
    assert await trains(world, gone, kept) == [False, True]


async def test_events_that_come_twice_or_late_change_nothing(ada: Person, world: World) -> None:
    name = await work(ada, world)
    objects, agrees = changed(ada, 3, granted=False), changed(ada, 5, granted=True)
    await heard(world, objects, objects)
    assert await trains(world, name) == [False]
    await heard(world, agrees, agrees, objects)
    assert await trains(world, name) == [True]
    rows = await world.sql("SELECT change, stands FROM training_objections WHERE account = $1", ada.id)
    assert [tuple(row) for row in rows] == [(5, False)]


async def test_what_is_allowed_or_not_besides_has_nothing_to_do_with_it(ada: Person, world: World) -> None:
    name = await work(ada, world)
    await heard(world, changed(ada, 1, granted=False, kind=MAIL))
    assert await trains(world, name) == [True]
    await heard(world, changed(ada, 2, granted=False), changed(ada, 3, granted=True, kind=MAIL))
    assert await trains(world, name) == [False]


async def test_an_objection_that_is_ahead_of_its_person_is_heard_when_they_come(world: World) -> None:
    early = Person(world)
    await world.announce(changed(early, 1, granted=False))
    other = await world.person()
    await world.announce(changed(other, 1, granted=False))
    stands = "SELECT 1 FROM training_objections WHERE account = $1 AND stands"
    await eventually(lambda: world.sql(stands, other.id))
    assert not await world.sql(stands, early.id)
    await world.announce(world.verified(early))
    await eventually(lambda: world.sql(stands, early.id), timeout=20)
    assert await trains(world, await work(early, world)) == [False]
    assert not await dead_letters(world.db)


@pytest.mark.promise("11-object")
async def test_no_work_slips_through_while_an_objection_is_heard(ada: Person, world: World) -> None:
    assets = [await output(ada, world) for _ in range(6)]
    _, *made = await asyncio.gather(
        heard(world, changed(ada, 1, granted=False)), *(published(ada, asset) for asset in assets)
    )
    works = [each.name for each in made]
    for name in works:
        await anonymised(ada, name)
    assert await trains(world, *works) == [False] * 6


@pytest.mark.promise("11-object")
async def test_who_publishes_waits_for_an_objection_that_is_being_heard(ada: Person, world: World) -> None:
    asset = await output(ada, world)
    async with world.db.transaction() as tx:
        await Consumers().on_consent_changed(tx, changed(ada, 1, granted=False))
        publishing = asyncio.create_task(published(ada, asset))
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        await eventually(lambda: world.sql(waiting))
    assert not (await publishing).training_eligible
