"""Somebody leaves: previewed, approved, done, looked through, signed; what is public stays, as nobody's."""

from __future__ import annotations

import asyncio
import json
import secrets
import uuid
from collections.abc import Awaitable
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import pytest

from cli.api import Api, ApiRefused, Json
from cli.receipts import verified
from tests.e2e.conftest import Join, Person, first_mail
from tests.personal import used
from tests.running import Running
from tests.support import eventually

EVERYWHERE = 5.0  # seconds in which tokens end everywhere
HOLDERS = {"identity", "assets", "generation", "billing", "privacy"}
KEPT = {"tombstones", "inbox", "erasure_cases"}
"""Tables in which the account's number still stands after the receipt."""


async def leave(person: Person, **different: Any) -> tuple[str, str]:
    """Preview, prove, delete; answers the erasure and its secret."""
    plan = await person.api.post("/v1/accounts/me:previewDeletion")
    proof = await person.api.post("/v1/sessions:reauthenticate", password=person.password)
    secret = used(secrets.token_urlsafe(24))
    wish: Json = {
        "reauthToken": used(proof["reauthToken"]),
        "planHash": plan["planHash"],
        "requestId": str(uuid.uuid4()),
        "receiptSecret": secret,
        **different,
    }
    answer = await person.api.post("/v1/accounts/me:delete", **wish)
    return answer["erasure"], secret


async def receipt(platform: Running, http: aiohttp.ClientSession, erasure: str, secret: str) -> Json:
    """The verified receipt, once it is signed."""
    api, state = Api(http, platform.gateway), ""
    api.send("X-Receipt-Secret", secret)
    async for event in api.events(f"/v1/{erasure}:watch"):
        state = event.data["state"]
    assert state == "RECEIPT_SIGNED"
    keys = await api.text("/v1/receipts/keys")
    return verified(await api.text(f"/v1/{erasure}/receipt"), keys)[1]


async def refusal(call: Awaitable[Any]) -> str:
    """Why it was refused; empty if it was answered."""
    try:
        await call
    except ApiRefused as refused:
        return refused.reason or str(refused.status)
    return ""


async def places_of(platform: Running, value: str) -> set[str]:
    """The tables of all databases in which a value stands, in any column."""
    found = set()
    for service in HOLDERS:
        sql = await asyncpg.connect(platform.endpoints["postgres"].replace("/postgres?", f"/{service}?"))
        for record in await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            here = f"SELECT 1 FROM {record['tablename']} AS t WHERE position($1 IN t::text) > 0 LIMIT 1"  # noqa: S608
            if await sql.fetchval(here, value):
                found.add(record["tablename"])
        await sql.close()
    return found


@pytest.mark.promise("9-delete-now", "9-delete-preview", "9-public-remains", "9-public-anon", "11-erase")
async def test_an_account_is_deleted_and_the_receipt_says_so(
    platform: Running, http: aiohttp.ClientSession, join: Join, photo: bytes
) -> None:
    name = used(f"leaver{secrets.token_hex(5)}")
    person, other = await join(username=name, displayName=used("Leaving Person")), await join()
    asset = await person.upload(photo, "leaving-home.jpg", "image/jpeg")
    order = await person.order("a suitcase by the door", inputAssets=[asset["name"]])
    done = await person.finished(order["name"])
    publish = {"confirm": True, "attribution": "NAMED", "requestId": str(uuid.uuid4())}
    work = await person.api.post(f"/v1/{done['outputAssets'][0]}:publish", **publish)
    assert work["username"] == name
    await other.api.post(f"/v1/{work['name']}:like")
    await person.api.post("/v1/packs", title=used("my own things"), requestId=str(uuid.uuid4()))
    link = await person.api.get(f"/v1/{asset['name']}:download")

    erasure, secret = await leave(person)
    answered = monotonic()
    for path in ("/v1/accounts/me", "/v1/assets", "/v1/generations", "/v1/billing/balance", "/v1/consents"):
        await eventually(lambda path=path: refusal(person.api.get(path)), timeout=EVERYWHERE)
    assert monotonic() - answered < EVERYWHERE
    said = await receipt(platform, http, erasure, secret)
    lines = [line for holder in said["holders"] for line in holder["data"]]
    assert sum(line["foundBefore"] for line in lines) > 30
    assert all(line["leftNow"] == 0 for line in lines)
    assert {each["holder"] for each in said["holders"]} == HOLDERS
    assert person.account not in json.dumps(said)
    async with http.get(used(link["url"])) as gone:
        assert gone.status == 404
    anybody = Api(http, platform.gateway)
    shown = await anybody.get(f"/v1/{work['name']}")
    assert (shown["username"], shown["likes"]) == ("", 1)
    assert await anybody.fetch(shown["renditions"][0]["url"])
    assert await places_of(platform, person.account.removeprefix("accounts/")) <= KEPT
    await first_mail(http, platform.endpoints["inbox"], person.email, after=1)
    for value in (person.email, name, "Leaving Person", "leaving-home.jpg", "a suitcase by the door"):
        await eventually(lambda value=value: _nowhere(platform, value))


async def _nowhere(platform: Running, value: str) -> bool:
    return not await places_of(platform, value)


@pytest.mark.promise("9-rejoin", "9-fraud-6m")
async def test_who_comes_back_is_a_new_person_without_the_welcome(
    platform: Running, http: aiohttp.ClientSession, join: Join
) -> None:
    person = await join()
    erasure, secret = await leave(person)
    await receipt(platform, http, erasure, secret)
    await first_mail(http, platform.endpoints["inbox"], person.email, after=1)
    again = await join(email=person.email)
    assert again.account != person.account
    assert (await again.balance())["available"] == 0


@pytest.mark.promise("9-delete-now")
async def test_several_who_leave_at_once_each_get_their_receipt(
    platform: Running, http: aiohttp.ClientSession, join: Join
) -> None:
    people = await asyncio.gather(*(join() for _ in range(4)))
    left = await asyncio.gather(*(leave(person) for person in people))
    said = await asyncio.gather(*(receipt(platform, http, *each) for each in left))
    assert {each["erasure"] for each in said} == {erasure for erasure, _ in left}


@pytest.mark.promise("9-delete-preview")
async def test_the_wrong_proof_plan_or_secret_changes_nothing(platform: Running, join: Join) -> None:
    person = await join()
    assert await refusal(leave(person, reauthToken=person.access_token)) == "REAUTHENTICATION_NEEDED"
    assert await refusal(leave(person, planHash="0" * 64)) == "DELETION_PLAN_UNKNOWN"
    assert await refusal(leave(person, receiptSecret="short")) == "INVALID_REQUEST"
    assert await refusal(leave(person, requestId="7")) == "INVALID_REQUEST"
    assert (await person.api.get("/v1/accounts/me"))["name"] == person.account
