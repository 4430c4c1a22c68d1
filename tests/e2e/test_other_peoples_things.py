"""Every RPC that takes the name of a thing, asked for a real thing of somebody else: there is no such thing.

From the descriptors, as in the matrix of callers: whoever has no HTTP rule is in here too, and so is every
name in a body.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import grpc
import pytest
from crafiq.options.v1 import options_pb2
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tests.e2e.conftest import Person, new_person
from tests.e2e.forms import Json, changed, good, named
from tests.e2e.matrix import REFUSED, Doors, access, methods
from tests.e2e.scene import one_of_each
from tests.running import Running

USER = [(s, m) for s, m in methods() if access(m).audience == options_pb2.AUDIENCE_USER]
FOR_EVERYONE = {"LikePublication name", "UnlikePublication name"}
"""What is public is everybody's to like."""
NOT_LOOKED_UP = {
    "UpdateAccount account.name": "it is the caller's own account that changes, whatever is said",
    "UpdateAsset asset.publication": "only answers have it",
    "UpdatePack pack.assets": "it is compared with what is in the pack",
    "RemoveAssets assets": "what is not in the pack is not in it afterwards",
    "ListEntries generation": "the caller's own entries are looked through",
}
"""Names that nothing is looked for by; a name of nothing gets the same answer."""

pytestmark = pytest.mark.promise("8-least-priv", "2b-output-owner")
Place = tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A request with names in it, and one of the places in which they stand."""

    service: str
    method: MethodDescriptor
    values: Json
    place: Place

    @property
    def title(self) -> str:
        """`AddAssets assets`."""
        return f"{self.method.name} {'.'.join(self.place)}"

    def naming(self, mine: dict[str, str], here: dict[str, str]) -> Message:
        """The request with names of `mine` in it, and of `here` in the place that is meant."""
        values = self.values
        if "requestId" in values:
            values = changed(values, ("requestId",), str(uuid.uuid4()))
        if "updateMask" in values and self.place[-1] != "name":
            values = changed(values, ("updateMask",), self.place[-1])
        for place, names in named(self.values):
            many = not isinstance(names, str)
            kind = (names if isinstance(names, str) else names[0]).partition("/")[0]
            name = f"{kind}/{(here if place == self.place else mine)[kind]}"
            values = changed(values, place, [name] if many else name)
        return json_format.ParseDict(values, message_factory.GetMessageClass(self.method.input_type)())


def _calls() -> Iterator[Call]:
    for service, method in USER:
        values = good(method.input_type.full_name)
        yield from (Call(service, method, values, place) for place, _ in named(values))


def _destroys(call: Call) -> tuple[bool, bool]:
    """Sorts calls so that what they name is there until the end, and the session longest."""
    return call.method.name.startswith("Delete"), call.method.name == "DeleteSession"


CALLS = sorted(_calls(), key=_destroys)


@dataclass(frozen=True)
class Somebody:
    """A person with one thing of every kind, one of them public."""

    person: Person
    things: dict[str, str]


async def _somebody(platform: Running, http: aiohttp.ClientSession) -> Somebody:
    person = await new_person(platform, http)
    session = (await person.api.get("/v1/sessions"))["sessions"][0]
    names = [*await one_of_each(person), session["name"], person.account]
    return Somebody(person, dict(name.split("/") for name in names))


@pytest.fixture(scope="module")
async def two(platform: Running) -> AsyncIterator[tuple[Somebody, Somebody]]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        ada, ben = await asyncio.gather(*(_somebody(platform, http) for _ in range(2)))
        yield ada, ben


@pytest.fixture
async def doors(platform: Running) -> AsyncIterator[Doors]:
    doors = Doors(platform.state)
    yield doors
    await doors.close()


async def _answers(doors: Doors, who: Somebody, things: dict[str, str]) -> list[tuple[str, grpc.StatusCode]]:
    """What somebody is told who names these things."""
    told = []
    for call in CALLS:
        asked = call.naming(who.things, things)
        status = await doors.call(call.service, call.method, "gateway", who.person.access_token, asked)
        told.append((call.title, status))
    return told


def test_every_name_in_a_request_is_among_them() -> None:
    titles = {call.title for call in CALLS}
    assert {"GetAsset name", "UpdatePack pack.name", "AddAssets assets", "StreamGeneration name"} < titles
    assert titles > FOR_EVERYONE | {*NOT_LOOKED_UP}


async def test_what_is_somebody_elses_is_not_found_and_its_owner_finds_it(
    doors: Doors, two: tuple[Somebody, Somebody]
) -> None:
    ada, ben = two
    nothing = dict(await _answers(doors, ben, {kind: str(uuid.uuid4()) for kind in ada.things}))
    for title, status in await _answers(doors, ben, ada.things):
        if title in FOR_EVERYONE:
            assert status == grpc.StatusCode.OK, title
        else:
            assert status == nothing[title], title
            assert title in NOT_LOOKED_UP or status == grpc.StatusCode.NOT_FOUND, (title, status)
    # The same of her who has all that: it was about something, and nothing has become of it.
    for title, status in await _answers(doors, ada, ada.things):
        assert status not in {*REFUSED, grpc.StatusCode.NOT_FOUND}, (title, status)
