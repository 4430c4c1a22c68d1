"""Objecting, through the gateway: what follows from a withdrawal follows within five seconds."""

from __future__ import annotations

import uuid
from time import monotonic

import aiohttp
import pytest

from cli.api import Api
from tests.e2e.conftest import Join, Person
from tests.running import Running
from tests.support import eventually

SECONDS = 5.0


async def public_output(person: Person) -> str:
    """A work that a model made of words, and that may train one."""
    order = await person.order("a tin whistle")
    (asset,) = (await person.finished(order["name"]))["outputAssets"]
    wish = {"confirm": True, "attribution": "NAMED", "requestId": str(uuid.uuid4())}
    made = await person.api.post(f"/v1/{asset}:publish", **wish)
    assert made["trainingEligible"] is True
    return str(made["name"])


async def objects(person: Person) -> None:
    """Says no to training, as a client does."""
    wish = {"kind": "PUBLIC_OUTPUT_TRAINING", "granted": False, "requestId": str(uuid.uuid4())}
    await person.api.call("PUT", "/v1/consents", wish)


@pytest.mark.promise("4-withdraw", "11-withdraw", "11-object", "3-train-public")
async def test_an_objection_is_heeded_within_five_seconds_and_for_good(
    platform: Running, join: Join, http: aiohttp.ClientSession
) -> None:
    person, stranger = await join(), Api(http, platform.gateway)
    work, let_go = await public_output(person), await public_output(person)
    await objects(person)
    answered = monotonic()

    async def heeded() -> bool:
        shown = [await stranger.get(f"/v1/{name}") for name in (work, let_go)]
        return not any(each["trainingEligible"] for each in shown)

    await eventually(heeded, timeout=SECONDS)
    assert monotonic() - answered < SECONDS
    await person.api.post(f"/v1/{let_go}:anonymise")
    assert await heeded()
