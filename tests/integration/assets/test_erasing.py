"""Whose account is deleted leaves nothing in the library; what is public stays, and is nobody's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.promises.v1 import promises_pb2

from chassis.db import Isolation
from chassis.errors import Refusal
from services.assets.domain.shelves import shelf_of
from tests.integration.assets.test_leftovers import sweeper
from tests.integration.assets.test_packs import a_pack, added
from tests.integration.assets.test_public_packs import opened, seen
from tests.integration.assets.test_publishing import public_bytes, published, shown
from tests.integration.assets.world import LIBRARY, QUARANTINE, Person, World, header_for
from tests.integration.leaving import deleted, erased, isolation, later, naming
from tests.unit.assets import makers

__all__ = ["isolation"]
promise = pytest.mark.promise("9-delete-now", "9-public-anon")


async def leave(person: Person) -> promises_pb2.Findings:
    """Delete the account, as assets hears of it; answers what is found there afterwards."""
    erasure = uuid4()
    await person.world.announce(deleted(person.id, erasure))
    return await erased(person.world.channel("privacy"), person.id, erasure)


async def remains(person: Person) -> dict[str, int]:
    """Rows that name somebody, by table, and objects on their shelf, by bucket."""
    world, found = person.world, await naming(person.world.sql, person.id)
    for bucket in (LIBRARY, QUARANTINE):
        listed = world.s3.list_objects(bucket, prefix=f"{shelf_of(person.id)}/", recursive=True)
        found[bucket] = len(list(listed))
    return dict(+found)


@promise
async def test_rows_and_bytes_go_and_what_is_public_stays(
    ada: Person, bob: Person, world: World, photo: bytes
) -> None:
    private, shared = await ada.upload(photo), await ada.upload(makers.png(), "image/png")
    theirs = await bob.upload(photo)
    work = await published(ada, shared.name)
    for person in (ada, bob):
        await person.call("LikePublication", assets_pb2.LikePublicationRequest(name=work.name))
    await world.put(await ada.open(photo), photo)
    key, before = await world.key_of(private.name), await public_bytes(world, work)
    assert {"assets", LIBRARY, QUARANTINE} <= set(await remains(ada))

    found = await leave(ada)

    assert (list(found.found), list(found.left)) == ([], [])
    assert await remains(ada) == {}
    assert key not in world.keys(LIBRARY)
    kept = await shown(world, work.name)
    assert (kept.username, kept.likes, kept.renditions) == ("", 2, work.renditions)
    assert await public_bytes(world, work) == before
    assert await bob.download(theirs.name)
    with pytest.raises(Refusal):
        await ada.upload(photo)


@promise
async def test_a_public_pack_dissolves_and_its_works_stay_each_alone(ada: Person, world: World) -> None:
    assets = [(await ada.upload(makers.png(), "image/png")).name for _ in range(2)]
    works = [await published(ada, asset) for asset in assets]
    pack = await a_pack(ada)
    await added(ada, pack.name, *assets)
    await opened(ada, pack.name)
    assert await seen(world, pack.name)
    await leave(ada)
    assert await seen(world, pack.name) is None
    for work in works:
        assert (await shown(world, work.name)).name == work.name


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    world: World, isolation: Isolation
) -> None:
    """Uploads are completed, Outputs delivered, packs filled, works published while the rows go."""
    chance, ends = random.Random(20261127), Counter[str]()
    for _ in range(4):
        ada = await world.person()
        upload = [await ada.open(makers.png(), "image/png") for _ in range(3)]
        for each in upload:
            await world.put(each, makers.png())
        asset, pack = (await ada.upload(makers.png(), "image/png")).name, (await a_pack(ada)).name
        header = header_for(ada, makers.png(), inputs=[asset])
        at_work: list[Awaitable[Any]] = [
            *(ada.complete(each.name) for each in upload),
            *(world.store(header, makers.png()) for _ in range(2)),
            published(ada, asset),
            added(ada, pack, asset),
            ada.open(makers.png(), "image/png"),
            a_pack(ada),
        ]
        tasks = [later(chance.uniform(0, 0.2), each) for each in at_work]
        outcomes = await asyncio.gather(*tasks, later(0.05, leave(ada)), return_exceptions=True)
        assert not isinstance(outcomes[-1], BaseException), outcomes[-1]
        for outcome in outcomes[:-1]:
            assert not isinstance(outcome, BaseException) or isinstance(outcome, Refusal), outcome
            ends["refused" if isinstance(outcome, Refusal) else "done"] += 1
        await sweeper(world).sweep_quarantine()  # what came to an open URL later
        assert await remains(ada) == {}
    assert min(ends["done"], ends["refused"]) > 3, ends  # the race was one
