"""Other sites: what they may forge (nothing), and which may read (those that are named)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from chassis.rpc.tokens import ACCESS_COOKIE
from services.identity.handler.cookies import REFRESH_COOKIE

from .conftest import PAGE

if TYPE_CHECKING:
    import aiohttp

    from .upstream import Upstream

SIGN_OUT = "/v1/sessions:signOut"
REFRESH = "/v1/sessions:refresh"


@pytest.fixture
def cookie(upstream: Upstream) -> dict[str, str]:
    """What a browser sends by itself."""
    return {"Cookie": f"{ACCESS_COOKIE}={upstream.tokens.access(uuid4())}; {REFRESH_COOKIE}=x"}


@pytest.mark.parametrize("path", [SIGN_OUT, REFRESH])
@pytest.mark.parametrize(
    "source",
    [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": "https://evil.example/"}],
)
async def test_a_forged_request_with_a_session_cookie_is_refused(
    http: aiohttp.ClientSession, cookie: dict[str, str], upstream: Upstream, path: str, source: dict[str, str]
) -> None:
    # As a form would send it: JSON in disguise, no preflight.
    headers = {**cookie, **source, "Content-Type": "text/plain"}
    async with http.post(path, data=b"{}", headers=headers) as answer:
        assert answer.status == 403
        assert (await answer.json())["details"][0]["reason"] == "ORIGIN_FORBIDDEN"
    assert upstream.reached == []


async def test_the_refresh_cookie_alone_is_protected_too(
    http: aiohttp.ClientSession, upstream: Upstream
) -> None:
    async with http.post(REFRESH, json={}, headers={"Cookie": f"{REFRESH_COOKIE}=x"}) as answer:
        assert answer.status == 403
    assert upstream.reached == []


@pytest.mark.parametrize("path", ["/v1/sessions", REFRESH])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_another_site_cannot_sign_somebody_in(
    http: aiohttp.ClientSession, upstream: Upstream, path: str, origin: str
) -> None:
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    async with http.post(path, data=b"{}", headers=headers) as answer:
        assert answer.status == 403
    assert upstream.reached == []


async def test_our_own_page_and_the_named_one_may_change_things(
    http: aiohttp.ClientSession, cookie: dict[str, str], upstream: Upstream
) -> None:
    own = str(http._base_url).rstrip("/")
    for source in ({"Origin": own}, {"Origin": PAGE}, {"Referer": f"{own}/studio"}):
        async with http.post(SIGN_OUT, json={}, headers={**cookie, **source}) as answer:
            assert answer.status == 200, source
    assert len(upstream.reached) == 3


async def test_reading_and_bearer_tokens_and_strangers_need_no_origin(
    http: aiohttp.ClientSession, cookie: dict[str, str], somebody: dict[str, str], upstream: Upstream
) -> None:
    async with http.get("/v1/accounts/me", headers=cookie) as answer:
        assert answer.status == 200
    async with http.post(SIGN_OUT, json={}, headers=somebody) as answer:
        assert answer.status == 200
    async with http.post(REFRESH, json={"refreshToken": "x"}) as answer:
        assert answer.status == 200


async def test_a_named_origin_may_ask_and_read(http: aiohttp.ClientSession, somebody: dict[str, str]) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "PATCH"}
    async with http.options("/v1/assets/a1", headers=asked) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    async with http.get("/v1/assets/a1", headers={**somebody, "Origin": PAGE}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    async with http.get("/v1/assets/a1", headers={"Origin": PAGE}) as refused:
        # A page can read why it was refused.
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


async def test_another_origin_may_not(http: aiohttp.ClientSession, somebody: dict[str, str]) -> None:
    evil = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    async with http.options("/v1/assets/a1", headers=evil) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with http.get("/v1/assets/a1", headers={**somebody, "Origin": "https://evil.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
