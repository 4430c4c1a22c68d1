"""Somebody leaves: previewed, approved, done, looked through, signed; what is public stays, as nobody's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import sys
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import pytest

from cli.api import Api, ApiRefused, Json
from cli.demo.leaving import FATES
from cli.receipts import verified
from deploy.local.infra import SERVICES
from services.billing.domain import BOOKS_GROUND, kept_until
from tests.e2e.conftest import ROOT, Join, Person, first_mail
from tests.e2e.remains import at_rest, only_this_remains
from tests.personal import used
from tests.running import Running
from tests.support import eventually

EVERYWHERE = 5.0  # seconds in which tokens end everywhere
README = ROOT / "services" / "privacy" / "README.md"
HOLDERS = set(SERVICES)
KEPT = {"tombstones", "inbox", "erasure_cases"}
"""Tables in which the account's number still stands after the receipt."""
PUBLIC = {"publications", "publication_counts", "publication_renditions", "likes", "renderings"}
"""Tables, all of assets, in which a public work may stand: how often it was looked at, who liked it, what is
still to be drawn of it."""


async def previewed(person: Person) -> Json:
    """What deleting would do, once every holder says so: on a busy machine one may be silent at first."""
    await person.balance()  # or billing has heard of them only when they delete: that would be another plan

    async def whole() -> Json | None:
        plan = await person.api.post("/v1/accounts/me:previewDeletion")
        return None if plan.get("silentHolders") else plan

    return await eventually(whole, timeout=30, every=0.2)


async def wish_to_leave(person: Person, **different: Any) -> Json:
    """Preview, prove; answers what deletes, if it is sent."""
    plan = await previewed(person)
    proof = await person.api.post("/v1/sessions:reauthenticate", password=person.password)
    return {
        "reauthToken": used(proof["reauthToken"]),
        "planHash": plan["planHash"],
        "requestId": str(uuid.uuid4()),
        "receiptSecret": used(secrets.token_urlsafe(24)),
        **different,
    }


async def leave(person: Person, **different: Any) -> tuple[str, str]:
    """Preview, prove, delete; answers the erasure and its secret."""
    wish = await wish_to_leave(person, **different)
    answer = await person.api.post("/v1/accounts/me:delete", **wish)
    return answer["erasure"], wish["receiptSecret"]


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


def every_fate_is_told(plan: Json) -> bool:
    """Each line of a plan has words; each of what is kept a ground and a date that is to come."""
    now = datetime.now(UTC)
    for line in plan["buckets"]:
        assert line["policyText"], line
        assert all(int(each["count"]) > 0 for each in line["counts"]), line
        if line["fate"] == "RETAINED_UNTIL":
            assert line["ground"], line
        if line["fate"] in ("RETAINED_UNTIL", "IN_BACKUPS_UNTIL"):
            assert datetime.fromisoformat(line["until"]) > now, line
    grounds = [line["ground"] for line in plan["buckets"] if line["fate"] == "RETAINED_UNTIL"]
    assert len(grounds) == 5, grounds  # the law, fraud, the farewell, the tombstone, a vendor's own terms
    return {line["fate"] for line in plan["buckets"]} == set(FATES)


@pytest.mark.timeout(180)
@pytest.mark.promise(
    "9-delete-now", "9-delete-preview", "9-public-remains", "9-public-anon", "9-tax", "11-erase"
)
async def test_an_account_is_deleted_and_the_receipt_says_so(
    platform: Running, http: aiohttp.ClientSession, join: Join, photo: bytes
) -> None:
    other, name = await join(), used(f"leaver{secrets.token_hex(5)}")
    before = await at_rest(platform)
    person = await join(username=name, displayName=used("Leaving Person"))
    asset = await person.upload(photo, "leaving-home.jpg", "image/jpeg")
    order = await person.order("a suitcase by the door", inputAssets=[asset["name"]])
    done = await person.finished(order["name"])
    publish = {"confirm": True, "attribution": "NAMED", "requestId": str(uuid.uuid4())}
    work = await person.api.post(f"/v1/{done['outputAssets'][0]}:publish", **publish)
    assert work["username"] == name
    await other.api.post(f"/v1/{work['name']}:like")
    pack = await person.api.post("/v1/packs", title=used("my own things"), requestId=str(uuid.uuid4()))
    link = await person.api.get(f"/v1/{asset['name']}:download")
    withdrawn = {"kind": "MARKETING_EMAIL", "granted": False, "requestId": str(uuid.uuid4())}
    await person.api.call("PUT", "/v1/consents", withdrawn)
    assert every_fate_is_told(await previewed(person))

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
    (records,) = [each for each in said["retained"] if each["category"] == "PAYMENT"]
    assert (records["holder"], records["ground"]) == ("billing", BOOKS_GROUND)
    assert records["until"] == f"{kept_until(datetime.now(UTC)):%FT%TZ}"
    values = {person.email, person.password, name, "Leaving Person", "leaving-home.jpg", "my own things"}
    values |= {"a suitcase by the door", person.access_token, secret, link["url"], *done["outputAssets"]}
    values |= {person.account, asset["name"], order["name"], work["name"], pack["name"]}
    written = json.dumps(said)
    assert not [each for each in values if each.rpartition("/")[2] in written]
    async with http.get(used(link["url"])) as gone:
        assert gone.status == 404
    anybody = Api(http, platform.gateway)
    shown = await anybody.get(f"/v1/{work['name']}")
    assert (shown["username"], shown["likes"]) == ("", 1)
    assert await anybody.fetch(shown["renditions"][0]["url"])
    assert await places_of(platform, person.account.removeprefix("accounts/")) <= KEPT
    # Of the public work nobody but assets knows, and there no table but those of what is public.
    assert await places_of(platform, work["name"].removeprefix("publications/")) <= PUBLIC
    await first_mail(http, platform.endpoints["inbox"], person.email, after=1)
    for value in (person.email, name, "Leaving Person", "leaving-home.jpg", "a suitcase by the door"):
        await eventually(lambda value=value: _nowhere(platform, value), timeout=40)
    await eventually(lambda: only_this_remains(platform, before), timeout=40, every=0.2)


async def _nowhere(platform: Running, value: str) -> bool:
    return not await places_of(platform, value)


@pytest.mark.promise("9-delete-now", "11-erase")
async def test_an_answer_that_was_lost_is_found_and_the_receipt_is_verified_as_documented(
    platform: Running, http: aiohttp.ClientSession, join: Join, tmp_path: Path
) -> None:
    person, anybody = await join(), Api(http, platform.gateway)
    wish = await wish_to_leave(person)
    await lose_the_answer(platform, person, wish)
    erasure, secret = f"erasures/{wish['requestId']}", wish["receiptSecret"]
    anybody.send("X-Receipt-Secret", secret)
    found = await anybody.get(f"/v1/{erasure}")
    assert found["name"] == erasure
    assert {each["holder"] for each in found["holders"]} == HOLDERS
    again = await refusal(person.api.post("/v1/accounts/me:delete", **wish))
    assert again in ("SESSION_ENDED", "CREDENTIAL_INVALID")
    anybody.send("X-Receipt-Secret", secret[:-1] + "!")
    assert await refusal(anybody.get(f"/v1/{erasure}")) == "ERASURE_NOT_FOUND"
    anybody.send("X-Receipt-Secret", secret)

    async def signed() -> bool:
        return bool((await anybody.get(f"/v1/{erasure}"))["state"] == "RECEIPT_SIGNED")

    await eventually(signed, timeout=40)
    told = {"GATEWAY": platform.gateway, "ERASURE": erasure, "SECRET": secret}
    for line in documented():
        assert await said_by(line, tmp_path, **told) == ""
    own = f"{sys.executable} -m cli receipt verify receipt.jws"  # without --keys: it asks this platform
    verdict = (await said_by(own, tmp_path, CRAFIQ_STATE=str(platform.state))).splitlines()
    assert verdict[0].startswith(f"Verified: a receipt of {erasure}, signed 20")
    sums = {line.strip().partition(":")[0]: line for line in verdict[1:7]}
    assert list(sums) == [*sorted(HOLDERS), "bus"]
    assert all(line.endswith("found before, 0 left") for line in sums.values())


def documented() -> list[str]:
    """The README's lines that fetch a receipt and verify it with a tool that is not ours."""
    lines = re.findall(r"^(?:curl|jose) .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["curl", "curl", "jose"]
    # Without the tool: tests/unit/cli verifies the same by a public library.
    return list(lines if shutil.which("jose") else lines[:2])


async def lose_the_answer(platform: Running, person: Person, wish: Json) -> None:
    """Send the wish, and drop the connection when the first byte of the answer would be read."""
    host, _, port = platform.gateway.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(wish).encode()
    head = (
        f"POST /v1/accounts/me:delete HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {person.access_token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    assert await reader.read(1)  # so much that it was done, and nothing that says so
    writer.transport.abort()


async def said_by(line: str, folder: Path, **environment: str) -> str:
    """What a line of shell says, run in a folder; it has to end well."""
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    shell = await asyncio.create_subprocess_shell(
        line, cwd=folder, env={**os.environ, **paths, **environment}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, line
    return said.decode()


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
