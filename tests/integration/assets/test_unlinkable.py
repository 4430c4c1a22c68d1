"""Works of one person who was erased are as much and as little alike as works of two."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from google.protobuf.json_format import MessageToDict
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.assets.jobs import Blending
from tests.integration.assets.test_erasing import leave
from tests.integration.assets.test_packs import a_pack, added
from tests.integration.assets.test_public_packs import opened, works
from tests.integration.assets.test_publishing import own, published, shown
from tests.integration.assets.test_renditions import artist
from tests.integration.assets.world import PUBLIC, Person, World, header_for
from tests.support import FakeClock

__all__ = ["artist"]
FACTS = {"sha256", "sizeBytes", "size_bytes", "etag"}
"""What follows from a work's own bytes, the same for everyone who has them."""
TOMORROW = datetime.now(UTC) + timedelta(days=1, hours=3)


COUNTS = {"views", "likes"}
"""What everybody did with it."""
WINDOW = 32
"""Bytes; a file's header with the same sizes in it is shorter."""


def noise(chance: random.Random, author: str) -> bytes:
    """A picture like every other one, that says whose it is."""
    written, said = io.BytesIO(), PngInfo()
    said.add_text("Author", author)
    Image.frombytes("RGB", (40, 30), chance.randbytes(3600)).save(written, "PNG", pnginfo=said)
    return written.getvalue()


async def publishes(person: Person, seed: int) -> list[bytes]:
    """A pack of an Input and of an Output that was made of it, and one work beside it; answers the files."""
    chance = random.Random(seed)
    files = [noise(chance, person.account) for _ in range(3)]
    first, beside = [(await person.upload(each, "image/png")).name for each in files[:2]]
    header = header_for(person, files[2], inputs=[first])
    made = (await person.world.store(header, files[2])).name
    pack = await a_pack(person)
    await added(person, pack.name, first, made)
    await opened(person, pack.name)
    await published(person, beside, assets_pb2.NAMED)
    return files


def in_common(works: list[tuple[int, list[bytes]]]) -> set[bytes]:
    """Bytes that several works of one person have, and none of anybody else's; works are whose, and files."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    for whose, files in works:
        for window in {each[at : at + WINDOW] for each in files for at in range(len(each) - WINDOW + 1)}:
            seen[window].append(whose)
    return {window for window, by in seen.items() if len(by) > 1 and len(set(by)) == 1}


def ordered(found: dict[str, dict[str, Any]]) -> set[str]:
    """Where works differ by something that has an order, or a neighbour: anything but a number of chance."""
    values: dict[str, list[Any]] = defaultdict(list)
    for work in found.values():
        for place, value in work.items():
            values[place].append(value)
    return {
        place
        for place, told in values.items()
        if place.rpartition("/")[2] not in FACTS | COUNTS | {"last_modified"}
        and len(set(map(repr, told))) > 1
        and not all(by_chance(value) for value in told)
    }


def by_chance(value: Any) -> bool:
    """Whether it is a UUID of chance alone (RFC 9562, version 4), or a name that ends in one."""
    try:
        return UUID(str(value).rpartition("/")[2]).version == 4
    except ValueError:
        return False


async def shown_files(world: World, publication: str) -> list[bytes]:
    """What everyone can read of a work: itself, its renditions."""
    listed = world.s3.list_objects(PUBLIC, prefix=f"{own(publication)}/", recursive=True)
    files = [world.s3.get_object(PUBLIC, str(each.object_name)).data for each in listed]
    assert len(files) == 3
    return files


async def held(world: World, publication: str) -> dict[str, Any]:
    """What rows, objects and the answers for everyone say about a work, by where they say it."""
    found: dict[str, Any] = {}
    columns = await world.sql(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'uuid'"
    )
    for table, column in columns:
        rows = f'SELECT row_to_json(each) FROM {table} AS each WHERE "{column}" = $1'  # noqa: S608  # from the catalogue
        for (row,) in await world.sql(rows, own(publication)):
            values = json.loads(row)
            found |= {f"{table}/{values.get('kind', '')}/{name}": each for name, each in values.items()}
    for each in world.s3.list_objects(PUBLIC, prefix=f"{own(publication)}/", recursive=True):
        place = str(each.object_name).partition("/")[2]
        stat = world.s3.stat_object(PUBLIC, str(each.object_name))
        told = {name.lower(): value for name, value in (stat.metadata or {}).items()}
        passing = {
            "date",
            "x-amz-request-id",
            "last-modified",
            "content-length",
            "etag",
            "seaweed-x-amz-etag",
        }
        found |= {f"{place}/{name}": value for name, value in told.items() if name not in passing}
        found[f"{place}/last_modified"] = stat.last_modified
    message = MessageToDict(await shown(world, publication))
    message.pop("views", None)  # we look at them one after the other
    for rendition in message.pop("renditions", []):
        rendition.pop("url")
        found |= {f"told/{rendition['kind']}/{name}": value for name, value in rendition.items()}
    return found | {f"told/{name}": value for name, value in message.items()}


@pytest.mark.promise("9-public-anon", "9-delete-or-anon")
async def test_nothing_that_is_held_tells_whose_works_belong_together(world: World, artist: Any) -> None:
    leaving, staying = [await world.person() for _ in range(2)], await world.person()
    brought = await asyncio.gather(
        *(publishes(person, seed) for seed, person in enumerate((*leaving, staying)))
    )
    while await artist.draw_one():
        pass
    of = {
        work: number
        for number, person in enumerate(leaving)
        for work in (await works(world, person)).values()
    }
    for person in leaving:
        await leave(person)

    # The night comes. The works of all three lie in one order that has nothing to do with any of them.
    order: list[Any] = []

    def shuffled(day: list[Any]) -> list[Any]:
        order.extend(sorted(day))
        return order

    before = datetime.now(UTC).replace(microsecond=0)
    await world.sql("DELETE FROM blended")
    desk = world.desk
    await Blending(desk.publications, desk.storage, FakeClock(TOMORROW), uuid4, shuffled).run()

    found = {work: await held(world, work) for work in of}
    assert {own(work) for work in of} <= set(order)
    alike: dict[tuple[str, str], set[str]] = defaultdict(set)
    for work, values in found.items():
        for place, value in values.items():
            if place.endswith("last_modified"):
                assert value >= before  # of tonight, and no earlier
            elif place.rpartition("/")[2] not in FACTS:
                alike[place, repr(value)].add(work)
    together = {
        what: shared
        for what, shared in alike.items()
        if len(shared) > 1 and len({of[work] for work in shared}) == 1
    }
    assert together == {}
    assert len(of) == 6
    assert ordered(found) == set()
    assert in_common([(whose, [each]) for whose, files in enumerate(brought) for each in files])
    assert in_common([(of[work], await shown_files(world, work)) for work in of]) == set()
