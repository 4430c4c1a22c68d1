"""Two people who have two things of every kind, and who left: whom bad requests are made for."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic

import aiohttp
from yarl import URL

from cli.api import Json
from cli.demo import example
from tests.e2e.conftest import PATIENCE, RETRY_SECONDS, Person, new_person
from tests.e2e.forms import Request, forms
from tests.e2e.refusals import Answer
from tests.e2e.test_deletion import leave
from tests.running import Running
from tests.support import eventually

Ids = Mapping[str, str]
SHORT_LISTS = {
    "generation.ListEgress": "What one order sends is one line, unless the vendor refuses it at first.",
    "privacy.ListAcceptances": "Somebody new has agreed once; again only when the policy changes.",
}
"""Lists of which no page token is made here, and why."""


@dataclass(frozen=True)
class Belongings:
    """What somebody has: the last segments of names, by collection. things: one of each. spare: another,
    for calls that end it. tokens: page tokens by the RPC whose list they are of. secret: of the erasure.
    """

    things: Ids
    spare: Ids
    tokens: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""


@dataclass(frozen=True)
class Scene:
    """Somebody who has two things of every kind, and what somebody else has."""

    platform: Running
    http: aiohttp.ClientSession
    person: Person
    mine: Belongings
    theirs: Belongings
    balance: Json

    async def sent(self, request: Request, person: Person) -> Answer:
        """The answer to a request, signed in and with the erasure's secret unless it says otherwise."""
        signed_in = {"authorization": f"Bearer {person.access_token}", "x-receipt-secret": self.mine.secret}
        headers = {**signed_in, **request.headers}
        url, until = URL(f"{self.platform.gateway}{request.path}", encoded=True), monotonic() + PATIENCE
        while True:
            async with self.http.request(request.method, url, data=request.body, headers=headers) as got:
                answer = Answer(got.status, got.content_type, await got.read())
            # On a busy machine a deadline passes: what is asked then is asked again, as the answer says.
            if not answer.again or monotonic() > until:
                return answer
            await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def scene_of(platform: Running) -> AsyncIterator[Scene]:
    """The scene, once nothing moves in it any more."""
    timeout = aiohttp.ClientTimeout(total=100)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        person, other = await asyncio.gather(*(new_person(platform, http) for _ in range(2)))
        made = await asyncio.gather(*(_belongings(platform, http, each) for each in (person, other)))
        # Of public lists there are two pages once both have something in them.
        mine, theirs = [await _with_tokens(p, m) for p, m in zip((person, other), made, strict=True)]
        yield Scene(platform, http, person, mine, theirs, await settled(person))


def kinds() -> set[str]:
    """The collections that paths name things of."""
    return {kind for form in forms().values() for kind in form.variables.values()}


async def settled(person: Person) -> Json:
    """The balance once every hold has ended: billing hears of it after the person does."""
    return await eventually(lambda: _without_holds(person), timeout=20)


async def _without_holds(person: Person) -> Json | None:
    balance = await person.balance()
    return balance if balance["held"] == 0 else None


async def _belongings(platform: Running, http: aiohttp.ClientSession, person: Person) -> Belongings:
    leaver = await new_person(platform, http)
    first, second, (erasure, secret) = await asyncio.gather(
        one_of_each(person), one_of_each(person), leave(leaver)
    )
    for granted in (True, False):
        wish = {"kind": "MARKETING_EMAIL", "granted": granted, "requestId": str(uuid.uuid4())}
        await person.api.call("PUT", "/v1/consents", await with_text(person, wish))
    await person.api.post("/v1/sessions", email=person.email, password=person.password)
    sessions = (await person.api.get("/v1/sessions"))["sessions"]
    current = next(each for each in sessions if each["current"])
    other = next(each for each in sessions if not each["current"])
    # Nobody's, and the same for all.
    shared = [erasure, person.account, "webhooks/stripe"]
    things = _ids([*first, current["name"], *shared])
    spare = _ids([*second, other["name"], *shared])
    public = {"confirm": True, "attribution": "ANONYMOUS"}
    await person.api.post(f"/v1/packs/{spare['packs']}:publish", **public)
    missing = kinds() - things.keys()
    assert not missing, f"Nobody here has any {missing}: make one in one_of_each()."
    return Belongings(things, spare, secret=secret)


async def with_text(person: Person, wish: Json) -> Json:
    """A wish for SetConsent with the digest of the text that is in force."""
    consents = (await person.api.get("/v1/consents"))["consents"]
    return {**wish, "textSha256": next(c["textSha256"] for c in consents if c["kind"] == wish["kind"])}


async def one_of_each(person: Person) -> list[str]:
    """One thing of every kind that a person makes: their names."""
    photo = example.plain().read_bytes()
    upload = await person.open(photo, "coffee.png", "image/png")
    await person.api.put(upload["url"], photo, upload["headers"])
    asset = await person.api.post(f"/v1/{upload['name']}:complete")
    order = await person.order("a brass bell in the rain")
    done = await person.finished(order["name"])
    assert done["state"] == "SUCCEEDED"
    (output,) = done["outputAssets"]
    wish = {"confirm": True, "attribution": "ANONYMOUS", "requestId": str(uuid.uuid4())}
    publication = await person.api.post(f"/v1/{output}:publish", **wish)
    pack = await person.api.post("/v1/packs", title="Bells", requestId=str(uuid.uuid4()))
    return [each["name"] for each in (upload, asset, order, publication, pack)]


def _ids(names: list[str]) -> Ids:
    return dict(name.split("/") for name in names)


async def _with_tokens(person: Person, made: Belongings) -> Belongings:
    tokens = {}
    for form in forms().values():
        if "page_token" in form.message.fields_by_name and form.rpc.label not in SHORT_LISTS:
            names = {name: made.things[kind] for name, kind in form.variables.items()}
            page = await person.api.get(form.path(names, {"pageSize": 1}))
            assert page.get("nextPageToken"), f"{form.rpc.label} has one page: make two things for it."
            tokens[form.rpc.label] = page["nextPageToken"]
    return replace(made, tokens=tokens)
