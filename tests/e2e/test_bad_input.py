"""Every call of the public API with everything bad that its form allows.

Nothing answers 500 or shows the inside, every refusal has the shape of API.md, and afterwards the
person has what they had. A new RPC is in here as soon as it is in its proto.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from cli.api import Json
from cli.demo import example
from tests.e2e.bad_requests import Bad, Things
from tests.e2e.conftest import Person, new_person
from tests.e2e.forms import Form, Request, forms
from tests.e2e.refusals import Answer, fault_of
from tests.running import Running

AT_ONCE = 8
# Calls for these end sessions and count attempts, so each gets somebody of its own.
FOR_ONESELF = {"AUTHENTICATION", "SECURITY"}
# An answer that says no to the request, not to who asks.
REFUSED = {400, 404, 409, 412, 413, 414, 415, 422, 431}

pytestmark = [pytest.mark.promise("3-operate", "8-no-guarantee"), pytest.mark.timeout(120)]


async def _settle(person: Person) -> dict[str, str]:
    """Gives somebody one thing of every kind; answers the last segments of their names."""
    photo = example.plain().read_bytes()
    upload = await person.open(photo, "coffee.png", "image/png")
    await person.api.put(upload["url"], photo, upload["headers"])
    asset = await person.api.post(f"/v1/{upload['name']}:complete")
    order = await person.order("a brass bell in the rain")
    assert (await person.finished(order["name"]))["state"] == "SUCCEEDED"
    session = (await person.api.get("/v1/sessions"))["sessions"][0]
    named = dict(thing["name"].split("/") for thing in (upload, asset, order, session))
    return {kind: named.get(kind) or await _made(person, kind) for kind in _kinds()}


def _kinds() -> set[str]:
    return {kind for form in forms().values() for kind in form.variables.values()}


async def _made(person: Person, kind: str) -> str:
    """The name of a new thing, if things of that kind can be made just so; else one of nothing."""
    creating = ("POST", f"/v1/{kind}")
    found = (f for f in forms().values() if (f.binding.method, f.binding.template.text) == creating)
    create = next(found, None)
    if create is None:
        return str(uuid.uuid4())
    made = await person.api.post(create.path({}), **{**create.good, "requestId": str(uuid.uuid4())})
    return str(made["name"]).partition("/")[2]


async def _tokens(person: Person, mine: dict[str, str]) -> dict[str, str]:
    """A page token of each list that is long enough to have one."""
    found = {}
    for form in forms().values():
        if "page_token" in form.message.fields_by_name:
            names = {name: mine[kind] for name, kind in form.variables.items()}
            page = await person.api.get(form.path(names, {"pageSize": 1}))
            if page.get("nextPageToken"):
                found[form.rpc.label] = page["nextPageToken"]
    return found


@dataclass(frozen=True)
class Scene:
    """Somebody who has one thing of every kind, and somebody else who has too."""

    platform: Running
    http: aiohttp.ClientSession
    person: Person
    things: Things
    balance: Json

    async def sent(self, request: Request, person: Person) -> Answer:
        """The answer to a request, signed in unless it says otherwise."""
        headers = {"authorization": f"Bearer {person.access_token}", **request.headers}
        url = URL(f"{self.platform.gateway}{request.path}", encoded=True)
        async with self.http.request(request.method, url, data=request.body, headers=headers) as answer:
            return Answer(answer.status, answer.content_type, await answer.read())


@pytest.fixture(scope="module")
async def scene(platform: Running) -> Any:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        person, other = await asyncio.gather(*(new_person(platform, http) for _ in range(2)))
        mine, theirs = await asyncio.gather(_settle(person), _settle(other))
        things = Things(mine, theirs, await _tokens(person, mine), await _tokens(other, theirs))
        yield Scene(platform, http, person, things, await person.balance())


async def _belongings(person: Person) -> Any:
    return [
        await person.balance(),
        [(a["name"], a["sha256"]) for a in (await person.api.get("/v1/assets"))["assets"]],
        [(g["name"], g["state"]) for g in (await person.api.get("/v1/generations"))["generations"]],
    ]


async def _caller(form: Form, scene: Scene) -> tuple[Person, Things]:
    """Who calls, and what there is of theirs to call about."""
    if form.rpc.public or (form.rpc.purpose not in FOR_ONESELF and form.binding.method != "DELETE"):
        return scene.person, scene.things
    person = await new_person(scene.platform, scene.http)
    if form.rpc.purpose in FOR_ONESELF:
        session = (await person.api.get("/v1/sessions"))["sessions"][0]
        mine = {**scene.things.mine, "sessions": session["name"].partition("/")[2]}
    else:
        mine = await _settle(person)
    return person, replace(scene.things, mine=mine)


def _fault(form: Form, request: Request, answer: Answer) -> str:
    fault = fault_of(answer)
    if not fault and request.must:
        expected = REFUSED | ({401, 429} if form.rpc.public or request.what.startswith("as ") else set())
        fault = "" if answer.status in expected else f"was not refused: {answer.body[:200]!r}"
    return f"{request.what!r} answers {answer.status}, which {fault}" if fault else ""


@pytest.mark.parametrize("call", forms())
async def test_whatever_is_asked_the_answer_is_sound(scene: Scene, call: str) -> None:
    form = forms()[call]
    person, things = await _caller(form, scene)
    requests = list(Bad(form, things).requests())
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> str:
        async with turns:
            return _fault(form, request, await scene.sent(request, person))

    before = await _belongings(person)
    faults = await asyncio.gather(*(one(request) for request in requests if request.must))
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))
    assert await _belongings(person) == before
    # These may be lawful, and so end the session or delete the thing.
    faults = await asyncio.gather(*(one(request) for request in requests if not request.must))
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))
    assert await scene.person.balance() == scene.balance


def test_every_call_is_among_them(scene: Scene) -> None:
    assert len(forms()) > 20
    for name, form in forms().items():
        assert not form.breaks_a_rule(form.good), f"The example of {name} breaks a rule of its proto."
        assert len([r for r in Bad(form, scene.things).requests() if r.must]) >= 1, name
    assert len(scene.things.tokens) >= 2
