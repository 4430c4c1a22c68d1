"""Whatever takes a `requestId`: asked again it answers the same, with another body it refuses.

A new RPC with a `requestId` is in here as soon as it is in its proto.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor import FieldDescriptor

from cli.api import ApiRefused, Json
from cli.demo import example
from tests.e2e.conftest import Person, new_person
from tests.e2e.forms import Form, at, changed, forms
from tests.e2e.scene import with_text
from tests.personal import used
from tests.running import Running

REPLAYED = {name: form for name, form in forms().items() if at(form.good, ("requestId",))}
NOT_REPLAYED = {
    "identity.DeleteAccount": "Nobody is signed in afterwards who could ask again.",
}
OTHERWISE = {
    ("assets.CreateUpload", "contentType"): "400: what is not taken is refused before the id is looked at.",
    ("assets.PublishAsset", "confirm"): "400: nothing is published without it, whatever the id.",
    ("identity.SignUp", "isAdult"): "400: nobody younger is signed up, whatever the id.",
}
"""Another body that is refused with another reason than REQUEST_ID_REUSED, and why: by RPC and field."""

pytestmark = [pytest.mark.promise("3-operate", "3-transactions"), pytest.mark.timeout(60)]


@dataclass(frozen=True)
class Asker:
    """Somebody with two assets."""

    person: Person
    assets: tuple[str, str]

    def names(self, form: Form) -> dict[str, str]:
        """What the path names: only assets, so far."""
        return {variable: self.assets[0].partition("/")[2] for variable in form.variables}

    async def wish(self, form: Form) -> Json:
        """The document's example, with what only this person and this moment can say."""
        wish = {**form.good, "requestId": str(uuid.uuid4())}
        if "inputAssets" in wish:
            wish["inputAssets"] = [self.assets[0]]
        if "textSha256" in wish:
            wish = await with_text(self.person, wish)
        if "username" in wish:
            wish["username"], wish["email"] = (
                f"again{secrets.token_hex(4)}",
                f"{secrets.token_hex(6)}@example.com",
            )
        for (field,), own in form.in_body():
            if own.GetOptions().Extensions[options_pb2.personal]:
                used(wish.get(field, ""))
        return wish

    async def answer(self, form: Form, wish: Json) -> Any:
        """What stays the same however often it is asked: the name of what was made, or else all of it."""
        made = await self.person.api.call(form.binding.method, form.path(self.names(form)), wish)
        return made.get("name", made)


@pytest.fixture(scope="module")
async def asker(platform: Running) -> AsyncIterator[Asker]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        person = await new_person(platform, http)
        photo = example.plain().read_bytes()
        first, second = [await person.upload(photo, "coffee.png", "image/png") for _ in range(2)]
        yield Asker(person, (first["name"], second["name"]))


def _others(form: Form, wish: Json, asker: Asker) -> Iterator[tuple[str, Json]]:
    """The wish with one field changed, for each field that can be."""
    for place, own in form.in_body():
        (field,) = place
        if field != "requestId" and field not in form.variables:
            for value in _values(own, wish.get(field), asker):
                other = changed(wish, place, value)
                if not form.breaks_a_rule(form.named(other, asker.names(form) | {"assets": "x"})):
                    yield field, other
                    break


def _values(own: FieldDescriptor, value: Any, asker: Asker) -> Iterator[Any]:
    """Values like `value` that are not it: the first one that keeps the proto's rules is taken."""
    if own.is_repeated:
        yield [asker.assets[1]]
    elif own.type == own.TYPE_STRING and value:
        yield from (f"{value}x", f"x{value}", value[:-1] + ("1" if value[-1] == "0" else "0"))
    elif own.type == own.TYPE_BOOL:
        yield not value
    elif own.type == own.TYPE_ENUM:
        yield from (each.name for each in own.enum_type.values if each.name != value)
    elif own.message_type is not None:
        yield {}
    else:
        yield int(value) - 1


@pytest.mark.parametrize(
    "call", [name for name, form in REPLAYED.items() if form.rpc.label not in NOT_REPLAYED]
)
async def test_asked_again_it_is_the_same_and_with_another_body_refused(asker: Asker, call: str) -> None:
    form = REPLAYED[call]
    wish = await asker.wish(form)
    answers = await asyncio.gather(*(asker.answer(form, wish) for _ in range(3)))
    assert answers == [answers[0]] * 3
    others = dict(_others(form, wish, asker))
    assert others
    for field, other in others.items():
        with pytest.raises(ApiRefused) as refused:
            await asker.answer(form, other)
        reused = (refused.value.status, refused.value.reason) == (409, "REQUEST_ID_REUSED")
        assert reused is ((form.rpc.label, field) not in OTHERWISE), (field, str(refused.value))
    assert await asker.answer(form, wish) == answers[0]


def test_what_is_excepted_is_there() -> None:
    assert len(REPLAYED) > 5
    fields = {(form.rpc.label, place[0]) for form in REPLAYED.values() for place, _ in form.in_body()}
    assert OTHERWISE.keys() <= fields
    assert NOT_REPLAYED.keys() <= {form.rpc.label for form in REPLAYED.values()}
