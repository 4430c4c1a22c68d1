"""People with something in every service, recognisable by a mark that stands in all of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import secrets
import uuid
from dataclasses import dataclass, field, replace

import aiohttp
from PIL import Image

from cli.api import Json
from tests.chaos.patience import Patient
from tests.e2e.conftest import Person, new_person
from tests.personal import used
from tests.running import Running
from tests.support import eventually

SLOW = "slow"
"""What a prompt ends in for which the sandbox takes its time."""
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
LISTED = {
    "assets": "/v1/assets?pageSize=100",
    "packs": "/v1/packs?pageSize=100",
    "generations": "/v1/generations?pageSize=100",
    "entries": "/v1/billing/entries?pageSize=100",
}
NAMED = {"confirm": True, "attribution": "NAMED"}


@dataclass
class Work:
    """Something public: its name, where its bytes are, what they are."""

    name: str
    url: str
    sha256: str


@dataclass
class Someone:
    """A person of the chaos tests. `mark` stands in everything they wrote, were called or uploaded."""

    person: Person
    mark: str
    works: list[Work] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)

    @property
    def api(self) -> Patient:
        assert isinstance(self.person.api, Patient)
        return self.person.api

    @property
    def account(self) -> str:
        """The account's number."""
        return self.person.account.removeprefix("accounts/")

    async def sign_in(self) -> None:
        """Again: an access token lives five minutes."""
        session = await self.api.post("/v1/sessions", email=self.person.email, password=self.person.password)
        self.api.sign_in_with(used(session["accessToken"]))

    async def upload(self, what: str = "note") -> Json:
        """An asset, of words or of pixels, that has the mark in its name and its bytes."""
        name = f"{self.mark}-{secrets.token_hex(4)}"
        if what == "note":
            return await self.person.upload(used(f"{name} wrote this").encode(), f"{name}.txt", "text/plain")
        return await self.person.upload(picture(name), f"{name}.png", "image/png")

    async def order(self, words: str = "a kettle", **more: object) -> str:
        """A generation whose prompt begins with the mark; answers its name."""
        made = await self.person.order(f"{self.mark} {words}", **more)
        self.generations.append(made["name"])
        return str(made["name"])

    async def ended(self, generation: str, timeout: float = 90.0) -> Json:
        """The generation, once it has ended."""

        async def found() -> Json | None:
            made = await self.api.get(f"/v1/{generation}")
            return made if made["state"] in ENDED else None

        return await eventually(found, timeout=timeout, every=0.1)

    async def publish(self, asset: str) -> Work:
        """Make an asset public, under one's name."""
        made = await self.api.post(f"/v1/{asset}:publish", requestId=str(uuid.uuid4()), **NAMED)
        work = await work_at(self.api, made["name"])
        self.works.append(work)
        return work

    async def settle_in(self) -> None:
        """Fill every service: files, a pack, public works, a like, made and unmade things, a consent."""
        photo, note = await asyncio.gather(self.upload("photo"), self.upload())
        unfinished = await self.person.open(b"half", used(f"{self.mark}-half.txt"), "text/plain")
        await self.api.put(unfinished["url"], b"half", unfinished["headers"])
        made = await self.ended(await self.order("a kettle"))
        pack = await self.api.post("/v1/packs", title=used(f"{self.mark} pack"), requestId=str(uuid.uuid4()))
        await self.api.post(f"/v1/{pack['name']}:addAssets", assets=[photo["name"], note["name"]])
        await self.publish(made["outputAssets"][0])
        await self.publish(photo["name"])
        wish = {"kind": "PUBLIC_OUTPUT_TRAINING", "granted": False, "requestId": str(uuid.uuid4())}
        await self.api.call("PUT", "/v1/consents", wish)

    async def at_rest(self) -> None:
        """Wait until nothing of theirs is under way that costs: jobs ended, holds settled."""

        async def quiet() -> bool:
            return not (await self.person.balance())["held"]

        await eventually(quiet, timeout=60, every=0.1)

    async def drawn(self) -> None:
        """Wait until every file of theirs has its thumbnail, or won't have any."""

        async def quiet() -> bool:
            assets = (await self.api.get(LISTED["assets"]))["assets"]
            return not any(each["renditionsPending"] for each in assets)

        await eventually(quiet, timeout=60, every=0.1)

    def with_api(self, api: Patient) -> Someone:
        """The same person with another client."""
        return replace(self, person=replace(self.person, api=api))

    async def everything(self) -> Json:
        """All that the API has of them, and the bytes of each asset, to compare with another time."""
        seen: Json = {name: without_urls(await self.api.get(path)) for name, path in LISTED.items()}
        seen["me"] = await self.api.get("/v1/accounts/me")
        seen["consents"] = (await self.api.get("/v1/consents"))["changes"]
        seen["balance"] = await self.person.balance()
        for asset in seen["assets"]["assets"]:
            content = await self.person.download(asset["name"])
            seen[asset["name"]] = hashlib.sha256(content).hexdigest()
        return seen


def picture(seed: str) -> bytes:
    """A PNG that looks like nobody else's, with `seed` written into its metadata."""
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415  # only here

    colour = hashlib.sha256(seed.encode()).digest()
    info, out = PngInfo(), io.BytesIO()
    info.add_text("Author", used(seed))
    Image.linear_gradient("L").convert("RGB").resize((colour[0] + 32, colour[1] + 32)).save(
        out, "PNG", pnginfo=info
    )
    return out.getvalue()


def without_urls(seen: Json) -> Json:
    """The same without what changes by itself: signed URLs and when they end."""

    def clean(value: object) -> object:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k not in {"url", "expiresAt", "expireTime"}}
        return [clean(each) for each in value] if isinstance(value, list) else value

    return {name: clean(value) for name, value in seen.items()}


async def work_at(api: Patient, name: str) -> Work:
    """A public work as anyone finds it."""
    shown = await api.get(f"/v1/{name}")
    url = shown["renditions"][0]["url"]
    return Work(name, url, hashlib.sha256(await api.fetch(url)).hexdigest())


async def arrive(platform: Running, http: aiohttp.ClientSession) -> Someone:
    """Somebody new, with nothing yet."""
    mark = used(f"zq{secrets.token_hex(8)}")
    person = await new_person(
        platform, http, email=f"{mark}@example.com", username=mark, displayName=used(f"{mark} of Quux")
    )
    patient = Patient(http, platform.gateway)
    patient.sign_in_with(person.access_token)
    person.api = patient
    return Someone(person, mark)


async def settled(platform: Running, http: aiohttp.ClientSession) -> Someone:
    """Somebody new who has something in every service."""
    someone = await arrive(platform, http)
    await someone.settle_in()
    return someone


async def slow_vendor(platform: Running, http: aiohttp.ClientSession, seconds: float) -> None:
    """From now on the sandbox takes its time over prompts that say so."""
    fault = {"kind": "delay", "seconds": seconds, "match": SLOW, "times": None}
    async with http.put(_vendor(platform, "faults"), json=[fault], headers=_key(platform)) as answer:
        answer.raise_for_status()


async def vendor_heard(platform: Running, http: aiohttp.ClientSession, words: str) -> int:
    """How many requests with these words the sandbox has received since it started."""
    async with http.get(_vendor(platform, "requests"), headers=_key(platform)) as answer:
        answer.raise_for_status()
        return sum(words in (each["prompt"] or "") for each in await answer.json())


def _vendor(platform: Running, what: str) -> str:
    return f"{platform.endpoints['sandbox']['openai']}/sandbox/{what}"


def _key(platform: Running) -> dict[str, str]:
    key = platform.state / "secrets" / "sandbox-openai" / "crafiq_openai_api_key"
    return {"authorization": f"Bearer {key.read_text()}"}
