"""An erasure is shown to whoever has its secret, by header or by cookie, and to nobody else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import Person, new_person
from tests.e2e.refusals import Answer, fault_of
from tests.e2e.test_deletion import wish_to_leave
from tests.running import Running
from tests.support import eventually

COOKIE = "__Secure-crafiq_receipt"
GATEWAY_TAKES = 32 * 1024  # bytes of headers
DOORS = ("", ":watch", "/receipt", "/supplement")
pytestmark = pytest.mark.promise("9-delete-now", "8-least-priv")


@dataclass(frozen=True)
class Left:
    """An erasure, `erasures/{id}`, its secret, and the cookies that `:delete` set, by their path."""

    name: str
    secret: str
    cookies: dict[str, Morsel[str]]


@dataclass(frozen=True)
class Two:
    """Two people who left; `asked` asks about the first one's erasure."""

    gateway: str
    http: aiohttp.ClientSession
    one: Left
    other: Left

    async def asked(self, door: str, headers: dict[str, str]) -> Answer:
        async with self.http.get(f"{self.gateway}/v1/{self.one.name}{door}", headers=headers) as answer:
            return Answer(answer.status, answer.content_type, await answer.read())


async def _leave(platform: Running, person: Person) -> Left:
    wish = await wish_to_leave(person)
    bearer = {"authorization": f"Bearer {person.access_token}"}
    url = f"{platform.gateway}/v1/accounts/me:delete"
    async with person.http.post(url, json=wish, headers=bearer) as answer:
        assert answer.status == 200, await answer.text()
        said = [SimpleCookie(each) for each in answer.headers.getall("set-cookie")]
    cookies = {each[COOKIE]["path"]: each[COOKIE] for each in said if COOKIE in each}
    return Left(f"erasures/{wish['requestId']}", wish["receiptSecret"], cookies)


@pytest.fixture(scope="module")
async def two(platform: Running) -> AsyncIterator[Two]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        people = await asyncio.gather(*(new_person(platform, http) for _ in range(2)))
        one, other = await asyncio.gather(*(_leave(platform, person) for person in people))
        made = Two(platform.gateway, http, one, other)
        await eventually(lambda: _answered(made, "/receipt"), timeout=40)
        yield made


async def _answered(two: Two, door: str) -> bool:
    return (await two.asked(door, {"x-receipt-secret": two.one.secret})).status == 200


def _ways(secret: str) -> list[dict[str, str]]:
    return [{"x-receipt-secret": secret}, {"cookie": f"{COOKIE}={secret}"}]


WRONG: dict[str, Any] = {
    "absent": lambda _: [{}],
    "empty": lambda _: _ways(""),
    "wrong": lambda _: _ways(secrets.token_urlsafe(24)),
    "half of it": lambda two: _ways(two.one.secret[:-1]),
    "more than it": lambda two: _ways(f"{two.one.secret}A"),
    "in other letters": lambda two: _ways(two.one.secret.swapcase()),
    "9,000 characters": lambda _: _ways("x" * 9000),
    "30,000 characters": lambda _: _ways("x" * 30_000),
    "40,000 characters": lambda _: _ways("x" * 40_000),
    "another person's": lambda two: _ways(two.other.secret),
    "not ASCII": lambda _: _ways("\u00ff" * 30),
    "by a header of another name": lambda two: [{"receipt-secret": two.one.secret}],
    "by a cookie of another name": lambda two: [{"cookie": f"crafiq_receipt={two.one.secret}"}],
    "as a bearer's": lambda two: [{"authorization": f"Bearer {two.one.secret}"}],
}


@pytest.mark.parametrize("what", WRONG)
async def test_whoever_has_another_secret_learns_nothing(two: Two, what: str) -> None:
    for headers in WRONG[what](two):
        for door in DOORS:
            answer = await two.asked(door, headers)
            assert not fault_of(answer), (door, answer)
            too_long = sum(map(len, headers.values())) > GATEWAY_TAKES
            expected = (431, "HEADERS_TOO_LARGE") if too_long else (404, "ERASURE_NOT_FOUND")
            assert (answer.status, answer.reason) == expected, (door, answer)
            assert two.one.secret.encode() not in answer.body


async def test_the_cookie_that_deleting_sets_opens_that_erasure_and_is_sent_nowhere_else(two: Two) -> None:
    for left in (two.one, two.other):
        assert left.cookies.keys() == {f"/v1/{left.name}", f"/v1/{left.name}:watch"}
        for cookie in left.cookies.values():
            assert (cookie.value, cookie["samesite"]) == (left.secret, "Strict")
            assert cookie["httponly"]
            assert cookie["secure"]
            assert not cookie["domain"]
    for way in _ways(two.one.secret):
        answers = [await two.asked(door, way) for door in DOORS]
        assert [answer.status for answer in answers[:3]] == [200, 200, 200]
        assert (answers[3].status, answers[3].reason) == (400, "SUPPLEMENT_NOT_READY")


async def test_a_wrong_header_is_not_made_good_by_the_cookie(two: Two) -> None:
    both = {"x-receipt-secret": two.other.secret, "cookie": f"{COOKIE}={two.one.secret}"}
    assert (await two.asked("", both)).status == 404
