"""Signed in by cookies, as the web app is: a jar, an Origin, and no token that a script could read.

The jar is a library's own, which sends a cookie where its Path says and Secure ones where a browser does:
to HTTPS and to this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from yarl import URL

from chassis.rpc.tokens import ACCESS_COOKIE
from cli.api import Api, Json
from services.identity.handler.cookies import REFRESH_COOKIE
from tests.e2e.conftest import Person, new_person
from tests.personal import used
from tests.running import Running

REFRESH, SIGN_OUT = "/v1/sessions:refresh", "/v1/sessions:signOut"
TABS = 5
NOT_OURS = [{}, {"origin": "https://evil.example"}, {"origin": "null"}]

pytestmark = pytest.mark.promise("3-authenticate", "7-cookies-essential")


@dataclass
class Browser:
    """What a page of ours can do; `own` goes with what changes something, as browsers have it."""

    http: aiohttp.ClientSession
    gateway: str
    own: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.own = {"origin": self.gateway}

    async def post(self, path: str, headers: dict[str, str], **body: str) -> tuple[int, Json]:
        """Status and answer; what is set stands in the jar."""
        async with self.http.post(f"{self.gateway}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def me(self) -> tuple[int, str]:
        """Status, and whose account the cookies open."""
        async with self.http.get(f"{self.gateway}/v1/accounts/me") as answer:
            return answer.status, (await answer.json()).get("name", "")

    def sent_to(self, path: str) -> dict[str, str]:
        """The cookies that go there."""
        jar = self.http.cookie_jar.filter_cookies(URL(f"{self.gateway}{path}"))
        return {name: used(morsel.value) for name, morsel in jar.items()}


@pytest.fixture(scope="module")
async def person(platform: Running) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield await new_person(platform, http)


@pytest.fixture
async def browser(platform: Running, person: Person) -> AsyncIterator[Browser]:
    """In which that person has just signed in."""
    jar = aiohttp.CookieJar(treat_as_secure_origin=platform.gateway)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        browser = Browser(http, platform.gateway)
        credentials = {"email": person.email, "password": person.password}
        status, answer = await browser.post("/v1/sessions", browser.own, **credentials)
        assert (status, "refreshToken" in answer) == (200, False)
        used(answer["accessToken"])
        yield browser


async def test_each_cookie_goes_where_it_is_read_and_nowhere_else(browser: Browser, person: Person) -> None:
    assert await browser.me() == (200, person.account)
    assert browser.sent_to("/v1/accounts/me").keys() == {ACCESS_COOKIE}
    assert browser.sent_to(REFRESH).keys() == {ACCESS_COOKIE, REFRESH_COOKIE}
    assert browser.sent_to("/crafiq.identity.v1.IdentityService/RefreshSession").keys() == {
        ACCESS_COOKIE,
        REFRESH_COOKIE,
    }


async def test_an_event_source_needs_nothing_but_the_cookie(browser: Browser, person: Person) -> None:
    order = await person.order("a jar of biscuits")
    states = [
        e.data["state"] async for e in Api(browser.http, browser.gateway).events(f"/v1/{order['name']}:watch")
    ]
    assert states[-1] == "SUCCEEDED"


async def test_tabs_that_refresh_at_once_all_stay_signed_in(browser: Browser, person: Person) -> None:
    before = browser.sent_to(REFRESH)

    async def refresh() -> dict[str, str]:
        url = f"{browser.gateway}{REFRESH}"
        async with browser.http.post(url, json={}, headers=browser.own) as answer:
            assert answer.status == 200, await answer.text()
            assert "refreshToken" not in await answer.json()
        return browser.sent_to(REFRESH)

    held = await asyncio.gather(*(refresh() for _ in range(TABS)))
    # They showed the same token and were given the same successor.
    assert len({each[REFRESH_COOKIE] for each in held} - {before[REFRESH_COOKIE]}) == 1
    assert await browser.me() == (200, person.account)
    assert (await refresh())[REFRESH_COOKIE] not in {before[REFRESH_COOKIE], held[0][REFRESH_COOKIE]}
    assert await browser.me() == (200, person.account)


@pytest.mark.parametrize("source", NOT_OURS, ids=["no origin", "another site", "a sandboxed page"])
async def test_what_another_site_makes_the_browser_send_changes_nothing(
    browser: Browser, person: Person, source: dict[str, str]
) -> None:
    before = browser.sent_to(REFRESH)
    for path in (REFRESH, SIGN_OUT):
        status, answer = await browser.post(path, source)
        assert (status, answer["details"][0]["reason"]) == (403, "ORIGIN_FORBIDDEN"), path
    assert browser.sent_to(REFRESH) == before
    assert await browser.me() == (200, person.account)
    assert (await browser.post(REFRESH, browser.own))[0] == 200


async def test_signing_out_takes_both_cookies_and_they_open_nothing_any_more(browser: Browser) -> None:
    before = browser.sent_to(REFRESH)
    assert (await browser.post(SIGN_OUT, browser.own))[0] == 200
    assert browser.sent_to(REFRESH) == {}
    assert len(browser.http.cookie_jar) == 0
    assert (await browser.me())[0] == 401
    # Whoever kept them by hand has nothing of it.
    browser.http.cookie_jar.update_cookies(before, URL(browser.gateway))
    assert browser.sent_to(REFRESH) == before
    assert (await browser.me())[0] == 401
    status, answer = await browser.post(REFRESH, browser.own)
    assert (status, answer["details"][0]["reason"]) == (401, "REFRESH_TOKEN_INVALID")
