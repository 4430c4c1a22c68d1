"""People, and what they do with the platform of tests/running.py."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest

from cli.api import Api, ApiRefused, Json
from cli.demo import example
from tests.personal import used
from tests.running import Running

ROOT = Path(__file__).resolve().parents[2]

PATIENCE, RETRY_SECONDS = 30.0, 0.2
"""How long a busy machine is waited for: for a mail, and for a service that says to ask again."""
LAST = "test_no_log_trace_or_event_holds_a_personal_value_of_the_whole_suite"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """That one comes when everybody else has used the platform, because it stops it."""
    items.sort(key=lambda item: item.name == LAST)


@pytest.fixture
async def http(platform: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


class Asking(Api):
    """An `Api` that does what an answer says which sends away for the moment: it asks the same again."""

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """As `Api.call`."""
        return await patiently(lambda: Api.call(self, method, path, body))


@dataclass
class Person:
    """Somebody with an account, signed in; `api` calls as them."""

    email: str
    password: str
    api: Api
    http: aiohttp.ClientSession
    account: str = ""
    access_token: str = ""

    async def open(self, content: bytes, filename: str, content_type: str, **more: Any) -> Json:
        """An upload for these bytes; `more` says otherwise than is true."""
        wish: Json = {
            "filename": used(filename, "filename"),
            "contentType": content_type,
            "sizeBytes": str(len(content)),
            "sha256": hashlib.sha256(content).hexdigest(),
            "requestId": str(uuid.uuid4()),
            **more,
        }
        upload = await self.api.post("/v1/uploads", **wish)
        used(upload["url"], "presigned URL")
        return upload

    async def upload(self, content: bytes, filename: str, content_type: str) -> Json:
        """The asset that these bytes became."""
        upload = await self.open(content, filename, content_type)
        await self.api.put(upload["url"], content, upload["headers"])
        return await self.api.post(f"/v1/{upload['name']}:complete")

    async def download(self, asset: str) -> bytes:
        """The bytes of an asset."""
        link = await self.api.get(f"/v1/{asset}:download")
        return await self.api.fetch(used(link["url"], "presigned URL"))

    async def order(self, prompt: str, **more: Any) -> Json:
        """A generation from words, or from `inputAssets` and words."""
        task = "IMAGE_TO_IMAGE" if more.get("inputAssets") else "TEXT_TO_IMAGE"
        body = {"task": task, "prompt": used(prompt, "prompt"), "requestId": str(uuid.uuid4()), **more}
        return await self.api.post("/v1/generations", **body)

    async def finished(self, generation: str) -> Json:
        """The generation once its stream has ended."""
        last: Json = {}
        async for event in self.api.events(f"/v1/{generation}:watch"):
            last = event.data
        return last

    async def balance(self) -> Json:
        """Credits."""
        return await self.api.get("/v1/billing/balance")


Join = Callable[..., Awaitable[Person]]


async def mails_to(http: aiohttp.ClientSession, inbox: str, email: str) -> list[Json]:
    """What has arrived for this address."""
    async with http.get(f"{inbox}/messages", params={"to": email}) as answer:
        return list(await answer.json())


async def first_mail(http: aiohttp.ClientSession, inbox: str, email: str, *, after: int = 0) -> Json:
    """The mail to this address, once it has arrived; `after` skips that many."""
    until = monotonic() + PATIENCE
    while monotonic() < until:
        messages = await mails_to(http, inbox, email)
        if len(messages) > after:
            return dict(messages[after])
        await asyncio.sleep(0.05)
    raise AssertionError(f"No mail number {after + 1} arrived")


def mail_token(mail: Json) -> str:
    """The token in the mail's link."""
    found = re.search(r"token=([A-Za-z0-9_.~-]+)", mail["text"])
    assert found is not None
    return used(found[1], "token of a mail")


async def sign_up(api: Api, email: str, password: str, **more: Any) -> Json:
    """Sign up with the versions in force."""
    policy = await api.get("/v1/policy")
    for name in more.keys() & {"username", "displayName"}:
        used(more[name], name)
    body: Json = {
        "email": used(email, "email"),
        "password": used(password, "password"),
        "isAdult": True,
        "acceptedPolicyVersion": policy["policyVersion"],
        "acceptedTermsVersion": policy["termsVersion"],
        "requestId": str(uuid.uuid4()),
        **more,
    }
    return await patiently(lambda: api.post("/v1/accounts", **body))


async def patiently(ask: Callable[[], Awaitable[Json]]) -> Json:
    """The answer, asked for again while it says that a service is away for the moment; raises ApiRefused."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return await ask()
        except ApiRefused as refused:
            if refused.status != 503 or not refused.again or monotonic() > until:
                raise
        await asyncio.sleep(RETRY_SECONDS)


async def new_person(platform: Running, http: aiohttp.ClientSession, **more: Any) -> Person:
    """Somebody signed up, confirmed, signed in; `more` goes with the sign-up."""
    api, inbox = Asking(http, platform.gateway), platform.endpoints["inbox"]
    email = more.pop("email", f"{secrets.token_hex(6)}@example.com")
    person = Person(email, secrets.token_urlsafe(12), api, http)
    before = await mails_to(http, inbox, person.email)
    await sign_up(api, person.email, person.password, **more)
    mail = await first_mail(http, inbox, person.email, after=len(before))
    await api.post("/v1/accounts:verifyEmail", token=mail_token(mail))
    session = await api.post("/v1/sessions", email=person.email, password=person.password)
    api.sign_in_with(used(session["accessToken"], "access token"))
    person.account, person.access_token = session["account"], session["accessToken"]
    return person


async def slow_down(platform: Running, http: aiohttp.ClientSession, prompt: str, seconds: int) -> None:
    """The stand-in for the vendor takes this long for this prompt."""
    key = (platform.state / "secrets" / "sandbox-openai" / "crafiq_openai_api_key").read_text()
    url = f"{platform.endpoints['sandbox']['openai']}/sandbox/faults"
    slow = [{"kind": "delay", "match": prompt, "seconds": seconds}]
    async with http.put(url, json=slow, headers={"Authorization": f"Bearer {key}"}) as answer:
        assert answer.status == 200, await answer.text()


@pytest.fixture
def join(platform: Running, http: aiohttp.ClientSession) -> Join:
    """Makes people."""

    async def one(**more: Any) -> Person:
        return await new_person(platform, http, **more)

    return one


@pytest.fixture
def photo() -> bytes:
    """A photo whose EXIF carries an author and a place."""
    return example.photo().read_bytes()
