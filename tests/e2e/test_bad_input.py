"""Every call of the public API with everything bad that its form allows.

Nothing answers 500 or shows the inside, every refusal has the shape of API.md, and afterwards the
person has what they had. A new RPC is in here as soon as it is in its proto.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from cli.grpc_web import sent
from tests.e2e.bad_frames import OTHERWISE, UNFINISHED, bad_frames
from tests.e2e.bad_requests import ANSWERED, AS_DOCUMENTED, Bad, Things
from tests.e2e.conftest import Person, new_person
from tests.e2e.forms import Form, Request, forms, unbound
from tests.e2e.refusals import INSIDE, Answer, fault_of
from tests.e2e.scene import SHORT_LISTS, Scene, scene_of
from tests.running import Running

AT_ONCE = 8
SILENT = 504  # told by the gateway, after a minute without a sound
PATIENCE = 20, 90  # seconds; for what is not finished
# Calls for these end sessions and count attempts, so each gets somebody of its own.
FOR_ONESELF = {"AUTHENTICATION", "SECURITY"}
# Calls that end what they are about, besides DELETE.
ENDS = {"assets.AnonymisePublication"}
# What others may be told of: their public works, and what is nobody's.
PUBLIC = {"publications", "webhooks"}
# An answer that says no to the request, not to who asks.
REFUSED = {400, 404, 409, 412, 413, 414, 415, 422, 431}

# INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNAUTHENTICATED.
CALLERS_FAULT = {"3", "5", "8", "16"}

pytestmark = [pytest.mark.promise("3-operate", "8-no-guarantee"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
async def scene(platform: Running) -> AsyncIterator[Scene]:
    async with scene_of(platform) as made:
        yield made


async def _belongings(person: Person) -> Any:
    return [
        await person.balance(),
        [(a["name"], a["sha256"]) for a in (await person.api.get("/v1/assets"))["assets"]],
        [(g["name"], g["state"]) for g in (await person.api.get("/v1/generations"))["generations"]],
        [
            (p["name"], p["likes"])
            for p in (await person.api.get("/v1/publications?mine=true"))["publications"]
        ],
        [(p["name"], p["etag"]) for p in (await person.api.get("/v1/packs"))["packs"]],
    ]


def _things(scene: Scene) -> Things:
    return Things(scene.mine.things, scene.theirs.things, scene.mine.tokens, scene.theirs.tokens)


async def _caller(form: Form, scene: Scene) -> tuple[Person, Things]:
    """Who calls, and what there is of theirs to call about."""
    mine, things = scene.mine, _things(scene)
    if form.rpc.purpose in FOR_ONESELF and not form.rpc.public:
        person = await new_person(scene.platform, scene.http)
        session = (await person.api.get("/v1/sessions"))["sessions"][0]
        own = {**mine.things, "sessions": session["name"].partition("/")[2]}
        return person, replace(things, mine=own)
    if form.binding.method == "DELETE" or form.rpc.label in ENDS:
        things = replace(things, mine=mine.spare)
    return scene.person, things


def _fault(form: Form, request: Request, answer: Answer, theirs: set[str]) -> str:
    fault = fault_of(answer)
    refused = answer.status >= 400
    if not fault and request.must:
        expected = REFUSED | ({401, 429} if form.rpc.public or request.what.startswith("as ") else set())
        fault = "" if answer.status in expected else f"was not refused: {answer.body[:200]!r}"
    if not fault and request.what == AS_DOCUMENTED and refused and answer.reason == "REQUEST_INVALID":
        # Were it so, all others might be refused for the same reason.
        fault = f"does not reach the service: {answer.body[:200]!r}"
    if not fault and request.must is False:
        fault = f"was refused: {answer.body[:200]!r}" if refused else ""
    if not fault and not refused:
        told = [each for each in theirs if each.encode() in answer.body]
        fault = f"tells of what is another person's: {told}" if told else ""
    return f"{request.what!r} answers {answer.status}, which {fault}" if fault else ""


@pytest.mark.parametrize("call", forms())
async def test_whatever_is_asked_the_answer_is_sound(scene: Scene, call: str) -> None:
    form = forms()[call]
    person, things = await _caller(form, scene)
    requests = list(Bad(form, things).requests())
    theirs = {own for kind, own in scene.theirs.things.items() if kind not in PUBLIC}
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> str:
        async with turns:
            return _fault(form, request, await scene.sent(request, person), theirs)

    before = await _belongings(person)
    faults = await asyncio.gather(*(one(request) for request in requests if request.must))
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))
    assert await _belongings(person) == before
    # These may be lawful, and so end the session or delete the thing.
    faults = await asyncio.gather(*(one(request) for request in requests if not request.must))
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))
    assert await scene.person.balance() == scene.balance


@pytest.mark.parametrize("call", unbound())
async def test_whatever_is_asked_by_grpc_web_alone_is_refused(scene: Scene, call: str) -> None:
    bad = dict(bad_frames(*unbound()[call], _things(scene)))
    assert len(bad.keys() - UNFINISHED) > 20
    faults = [
        *await asyncio.gather(
            *(_fault_of_frame(scene, call, what, bad[what]) for what in bad.keys() - UNFINISHED)
        ),
        await _fault_of_frame(scene, call, "an empty frame", bad["an empty frame"], authorization=""),
    ]
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))


@pytest.mark.slow
@pytest.mark.parametrize("call", unbound())
async def test_whoever_does_not_finish_a_message_is_not_waited_for_much_longer_than_a_minute(
    scene: Scene, call: str
) -> None:
    bad = dict(bad_frames(*unbound()[call], _things(scene)))
    faults = await asyncio.gather(*(_fault_of_frame(scene, call, what, bad[what]) for what in UNFINISHED))
    assert not [*filter(None, faults)], "\n".join(filter(None, faults))


async def _fault_of_frame(scene: Scene, call: str, what: str, content: bytes, **headers: str) -> str:
    """Refused by HTTP's status, or by one of gRPC's that does not say it was our fault."""
    url = f"{scene.platform.gateway}{unbound()[call][0].grpc_path}"
    headers = {"authorization": f"Bearer {scene.person.access_token}", **headers}
    try:
        async with asyncio.timeout(PATIENCE[what in UNFINISHED]):
            answer = await sent(scene.http, url, content, headers)
    except TimeoutError:
        return f"{what!r} is not answered"
    if what in UNFINISHED:
        return "" if answer.status == SILENT else f"{what!r} answers {answer}"
    told = answer.trailers.get("grpc-status", "")
    sound = answer.status in REFUSED | {401} or (answer.status == 200 and told in CALLERS_FAULT)
    sound |= what in OTHERWISE and told == OTHERWISE[what][0]
    shows = INSIDE.search(answer.trailers.get("grpc-message", ""))
    return "" if sound and not shows else f"{what!r} answers {answer}"


def test_every_call_is_among_them(scene: Scene) -> None:
    assert len(forms()) > 20
    assert "generation.StreamGeneration" in unbound()
    things = _things(scene)
    answered = set()
    for name, form in forms().items():
        assert not form.breaks_a_rule(form.named(form.good, things.mine)), (
            f"The example of {name} breaks a rule of its proto."
        )
        requests = list(Bad(form, things).requests())
        assert len([r for r in requests if r.must]) >= 1, name
        places = {r.what.rpartition(":")[0] for r in requests if r.must is False}
        answered |= {(form.rpc.label, place) for place in places}
    assert answered == set(ANSWERED), "Somebody else's names are answered where nobody said why, or nowhere."


def test_another_persons_page_of_every_list_is_tried(scene: Scene) -> None:
    lists = {f.rpc.label for f in forms().values() if "page_token" in f.message.fields_by_name}
    assert lists > SHORT_LISTS.keys()
    for made in (scene.mine, scene.theirs):
        assert made.tokens.keys() == lists - SHORT_LISTS.keys()
