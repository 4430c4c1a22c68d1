"""Whose account is deleted leaves nothing in the library; what is public stays, and is nobody's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.promises.v1 import promises_pb2
from crafiq.promises.v1.promises_pb2_grpc import DataHolderStub

from chassis.db import Isolation
from chassis.errors import Refusal
from services.assets.domain.shelves import path_of, shelf_of
from tests.integration.assets.test_leftovers import sweeper
from tests.integration.assets.test_packs import a_pack, added
from tests.integration.assets.test_public_packs import opened, seen
from tests.integration.assets.test_publishing import public_bytes, published, shown
from tests.integration.assets.world import LIBRARY, QUARANTINE, Person, World, header_for
from tests.integration.leaving import deleted, erased, isolation, later, naming
from tests.support import eventually
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


async def planned(person: Person) -> int:
    """How many rows about files, and files, a plan speaks of."""
    stub: Any = DataHolderStub(person.world.channel("privacy"))
    plan = await stub.Preview(promises_pb2.PreviewRequest(account=f"accounts/{person.id}"), timeout=10)
    going = [bucket for bucket in plan.buckets if bucket.fate == promises_pb2.ERASED_NOW]
    return sum(each.count for bucket in going for each in bucket.counts if each.category == "MEDIA")


@promise
async def test_a_plan_counts_every_file_also_one_that_is_on_its_way(ada: Person, photo: bytes) -> None:
    assert await planned(ada) == 0
    await ada.upload(photo)
    await ada.world.put(await ada.open(photo), photo)

    lying = await remains(ada)
    assert (lying[LIBRARY], lying[QUARANTINE]) == (1, 1)
    assert await planned(ada) == lying["assets"] + lying["uploads"] + 2


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
    assert key not in world.keys(LIBRARY, ada)
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


PIECE = 4 * 1024 * 1024
"""Storage reads, and sends, an object in pieces of so many bytes."""


async def rest_of(answer: aiohttp.ClientResponse) -> tuple[int, bool]:
    """What still comes of a download that is read on: how many bytes, and whether it was all."""
    received = 0
    try:
        async for chunk in answer.content.iter_chunked(65536):
            received += len(chunk)
    except aiohttp.ClientPayloadError:
        return received, False
    return received, True


@promise
async def test_a_download_under_way_gets_what_storage_has_read_of_it_and_no_more(
    ada: Person, world: World
) -> None:
    small, large = [await ada.upload(makers.png(), "image/png") for _ in range(2)]
    key, size = await world.key_of(large.name), 6 * PIECE
    world.s3.put_object(LIBRARY, path_of(key), BytesIO(bytes(size)), size)  # instead of what was uploaded
    links = [(await ada.link(each.name)).url for each in (small, large)]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(read_bufsize=65536))
        first = await stack.enter_async_context(http.get(links[0]))
        slow = [await stack.enter_async_context(http.get(links[1])) for _ in range(20)]
        for each in slow:
            await each.content.readexactly(1)

        await leave(ada)

        assert (await rest_of(first))[1], "one piece was on its way"

        async def broken() -> bool:
            return not (await rest_of(slow.pop()))[1]

        # Whoever is fast may get all of it; a moment later storage has removed the pieces themselves.
        assert await eventually(broken, timeout=18, every=1)  # fewer times than there are
    for link in links:
        status, _, _ = await world.fetch(link)
        assert status == 404


@promise
@pytest.mark.promise("2a-input-media")
async def test_a_url_for_a_put_outlives_its_person_and_what_comes_by_it_does_not(
    ada: Person, bob: Person, world: World, photo: bytes
) -> None:
    upload = await ada.open(photo)
    await leave(ada)
    assert await world.put(upload, photo) == 200  # storage knows of nobody's leaving

    async def refused(person: Person, reason: str) -> bool:
        with pytest.raises(Refusal) as refused:
            await person.complete(upload.name)
        return refused.value.reason == reason

    # That her session is over comes another way than that she is erased.
    await eventually(lambda: refused(ada, "CREDENTIAL_INVALID"))
    assert await refused(bob, "UPLOAD_NOT_FOUND")
    await sweeper(world).sweep_quarantine()
    assert await remains(ada) == {}


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    world: World, isolation: Isolation
) -> None:
    """Uploads are completed, Outputs delivered, packs filled, works published while the rows go."""
    chance, ends = random.Random(20261127), Counter[str]()
    for number in range(16):
        if number >= 4 and min(ends["done"], ends["refused"]) > 3:
            break
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
