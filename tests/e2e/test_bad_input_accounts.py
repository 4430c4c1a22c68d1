"""Signing up, confirming and names, as nobody should."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from typing import Any

import aiohttp
import pytest

from cli.api import Api, ApiRefused, Json
from tests.e2e.conftest import Join, first_mail, mail_token, sign_up
from tests.personal import used
from tests.running import Running

Send = tuple[Api, Json]
NAMES = {
    "a path": "../../etc/passwd-{}",
    "a line break": "{}\r\nBcc: everyone@example.com",
    "from right to left": "{}\u202egpj.exe",
    "an isolate": "\u2066{}\u2069",
    "an escape": "{}\x1b[31m",
    "a null character": "{}\0",
    "a deletion": "{}\x7f",
}
FREELY_NAMED = {"a path"}


@pytest.fixture
def nobody(platform: Running, http: aiohttp.ClientSession) -> Api:
    return Api(http, platform.gateway)


def _address() -> str:
    return f"{secrets.token_hex(6)}@example.com"


async def _refused(asked: Any) -> ApiRefused:
    with pytest.raises(ApiRefused) as refused:
        await asked
    return refused.value


@pytest.mark.promise("2a-username", "2a-name-optional")
@pytest.mark.parametrize("what", NAMES)
async def test_names_that_deceive_are_refused_at_sign_up_and_later(
    nobody: Api, join: Join, what: str
) -> None:
    name = used(NAMES[what].format(secrets.token_hex(5)))
    fields = ["username"] if what in FREELY_NAMED else ["username", "displayName"]
    person = await join()
    before = await person.api.get("/v1/accounts/me")
    for field in fields:
        refused = await _refused(sign_up(nobody, _address(), secrets.token_urlsafe(12), **{field: name}))
        assert refused.status == 400
        path = f"/v1/accounts/me?updateMask={field}"
        assert (await _refused(person.api.call("PATCH", path, {field: name}))).status == 400
    assert await person.api.get("/v1/accounts/me") == before


async def test_no_token_but_ones_own_confirms_and_a_used_one_confirms_nobody_else(
    platform: Running, nobody: Api, http: aiohttp.ClientSession
) -> None:
    mine, theirs = _address(), _address()
    password = secrets.token_urlsafe(12)
    for address in (mine, theirs):
        await sign_up(nobody, address, password)
    token = mail_token(await first_mail(http, platform.endpoints["inbox"], theirs))
    for forged in (
        used(secrets.token_urlsafe(32)),
        token[:-3] + "AAA",
        token + "A",
        token.swapcase(),
        "x" * 199,
    ):
        refused = await _refused(nobody.post("/v1/accounts:verifyEmail", token=forged))
        assert (refused.status, refused.reason) == (400, "VERIFICATION_TOKEN_INVALID")
    await nobody.post("/v1/accounts:verifyEmail", token=token)
    # Whoever confirmed one address has not confirmed another.
    assert (await nobody.post("/v1/sessions", email=theirs, password=password))["account"]
    refused = await _refused(nobody.post("/v1/sessions", email=mine, password=password))
    assert refused.status in {400, 401}


@pytest.mark.promise("2a-account")
async def test_signing_up_again_with_one_id_is_the_same_and_with_another_body_refused(
    platform: Running, nobody: Api, http: aiohttp.ClientSession
) -> None:
    address, password, request = _address(), secrets.token_urlsafe(12), str(uuid.uuid4())
    answers = await asyncio.gather(
        *(sign_up(nobody, address, password, requestId=request) for _ in range(5)),
    )
    assert answers == [{"state": "UNVERIFIED"}] * 5
    for more in ({"displayName": used("Somebody Else Entirely")}, {"isAdult": False}):
        refused = await _refused(sign_up(nobody, address, password, requestId=request, **more))
        assert refused.status in {400, 409}
    assert (await _refused(sign_up(nobody, _address(), password, requestId=request))).status == 409
    await first_mail(http, platform.endpoints["inbox"], address)
    async with http.get(f"{platform.endpoints['inbox']}/messages", params={"to": address}) as answer:
        assert len(await answer.json()) == 1


@pytest.mark.promise("12-adults", "0-acceptance")
@pytest.mark.parametrize(
    "wrong",
    [
        {"isAdult": False},
        {"acceptedPolicyVersion": "1999-01-01"},
        {"acceptedTermsVersion": "2025-10-29\u200b"},
        {"password": "short"},
        {"email": "two@example.com, three@example.com"},
        {"email": "a@b\r\nBcc: c@example.com"},
        {"username": "no spaces please"},
        {"requestId": "1"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_what_does_not_allow_an_account_sends_no_mail(
    platform: Running, nobody: Api, http: aiohttp.ClientSession, wrong: Json
) -> None:
    address = _address()
    refused = await _refused(sign_up(nobody, **{"email": address, "password": "long enough 12", **wrong}))
    assert refused.status == 400
    async with http.get(f"{platform.endpoints['inbox']}/messages", params={"to": address}) as answer:
        assert await answer.json() == []
