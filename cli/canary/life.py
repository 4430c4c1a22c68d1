"""What the canary does while it lives: every RPC that a person can reach, with a marker in every field."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from cli.api import ApiRefused, Json
from cli.canary.files import File, files
from cli.canary.markers import Markers
from cli.canary.rpcs import Caller
from cli.progress import Progress

T = TypeVar("T")
STEPS = 6
PATIENCE = 20.0  # seconds
DOMAIN = "example.com"


class CanaryFailed(Exception):
    """The canary could not do what a person can: nothing is proven."""


async def until(check: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Ask until there is an answer; raises CanaryFailed."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        if found := await check():
            return found
        await asyncio.sleep(0.1)
    raise CanaryFailed(f"{what} did not come within {PATIENCE:.0f} s.")


def headers(markers: Markers) -> dict[str, str]:
    """What its client sends with every request."""
    return {
        "user-agent": f"Mozilla/5.0 (X11; Linux x86_64) {markers.word('header User-Agent')}/1.0",
        "accept-language": markers.word("header Accept-Language"),
        "referer": f"https://{DOMAIN}/{markers.word('header Referer')}",
        "cookie": f"visit={markers.word('header Cookie')}",
        "x-request-id": markers.uuid("header X-Request-Id"),
        "traceparent": f"00-{markers.uuid('header traceparent').replace('-', '')}-{'7' * 16}-01",
        "x-canary": markers.word("header X-Canary"),
    }


@dataclass
class Life:
    """One person; `inbox` is where its mail arrives."""

    caller: Caller
    markers: Markers
    inbox: str
    progress: Progress

    def __post_init__(self) -> None:
        self.ask, self.word = self.caller.ask, self.markers.word
        self.email = self.markers.told("e-mail address", f"{self.word('mailbox')}@{DOMAIN}")
        self.password = self.word("password")
        self._assets: dict[str, str] = {}
        self._made: list[str] = []

    def request_id(self, what: str) -> str:
        """A marker too: what is asked for under it is kept as a row of its own."""
        return self.markers.uuid(f"request id of {what}")

    async def run(self) -> None:
        """All of it; raises CanaryFailed or ApiRefused."""
        for title, chapter in (
            ("Sign up, confirm, sign in", self._arrive),
            ("Upload, look, rename, download, delete", self._library),
            ("Have things made, cancel, delete", self._generations),
            ("Order things in packs", self._packs),
            ("Make public, like, let go", self._public),
            ("Ask for rights, terms and money", self._rights),
        ):
            with self.progress.step(title):
                await chapter()

    async def mails(self) -> list[Json]:
        """What has arrived."""
        return list(json.loads(await self.caller.api.fetch(f"{self.inbox}/messages?to={self.email}")))

    async def sign_in(self) -> Json:
        """A session, whose tokens are looked for too."""
        session = await self.ask(
            "identity.CreateSession", email=self.email, password=self.password, refreshTokenInBody=True
        )
        self.caller.sign_in_with(self._token("access token", session["accessToken"]))
        self._token("refresh token", session["refreshToken"])
        return session

    def _token(self, what: str, value: str) -> str:
        return self.markers.told(f"{what} {hashlib.sha256(value.encode()).hexdigest()[:8]}", value)

    async def _arrive(self) -> None:
        policy = await self.ask("privacy.GetPolicy")
        await self.ask(
            "identity.SignUp", email=self.email, password=self.password, username=self.word("user name"),
            displayName=self.word("first display name"), isAdult=True,
            acceptedPolicyVersion=policy["policyVersion"], acceptedTermsVersion=policy["termsVersion"],
            requestId=str(uuid.uuid4()),  # stays for a day as nobody's, for the same answer to all
        )  # fmt: skip
        mails = await until(self.mails, "The mail with the link")
        found = re.search(r"token=([A-Za-z0-9_.~-]+)", mails[0]["text"])
        if found is None:
            raise CanaryFailed("The mail has no link with a token.")
        await self.ask("identity.VerifyEmail", token=self._token("mailed token", found[1]))
        await self.ask("identity.ResendVerification", email=self.email)
        session = await self.sign_in()
        again = await self.ask(
            "identity.RefreshSession", refreshToken=session["refreshToken"], refreshTokenInBody=True
        )
        self.caller.sign_in_with(self._token("access token", again["accessToken"]))
        self._token("refresh token", again["refreshToken"])
        await self.ask("identity.UpdateAccount", displayName=self.word("display name"))
        await self.ask("identity.GetAccount")
        await self._sessions()

    async def _sessions(self) -> None:
        await self.sign_in()
        await self.ask("identity.SignOut")
        for _ in range(2):
            await self.sign_in()
        listed = (await self.ask("identity.ListSessions"))["sessions"]
        other = next(each["name"] for each in listed if not each.get("current"))
        await self.ask("identity.DeleteSession", of=other)
        await self.ask("identity.GetJwks")

    async def _library(self) -> None:
        for file in files(self.markers):
            asset = await self._upload(file)
            self._assets[file.content_type] = asset["name"]
        left = File("never-completed.txt", "text/plain", self.word("words never completed").encode())
        await self._send(left)
        photo = self._assets["image/jpeg"]
        await self.ask("assets.UpdateAsset", of=photo, title=self.word("title of an asset"))
        await self.ask("assets.ListAssets")
        link = await self.ask("assets.DownloadAsset", of=photo)
        self._token("signature of a link", link["url"].rpartition("X-Amz-Signature=")[2])
        await self.caller.api.fetch(link["url"])
        await self.ask("assets.DeleteAsset", of=self._assets["text/plain"])

    async def _send(self, file: File) -> Json:
        upload = await self.ask(
            "assets.CreateUpload", filename=file.name, contentType=file.content_type,
            sizeBytes=str(len(file.content)), sha256=hashlib.sha256(file.content).hexdigest(),
            requestId=self.request_id(f"upload of {file.content_type} {len(file.content)}"),
        )  # fmt: skip
        await self.caller.api.put(upload["url"], file.content, upload["headers"])
        return upload

    async def _upload(self, file: File) -> Json:
        upload = await self._send(file)
        return await self.ask("assets.CompleteUpload", of=upload["name"])

    async def _generations(self) -> None:
        await self.ask("generation.ListModels")
        await self.ask("generation.ListVendors")
        words = await self._order("words", task="TEXT_TO_IMAGE")
        photo = await self._order("a photo", task="IMAGE_TO_IMAGE", inputAssets=[self._assets["image/jpeg"]])
        for made in (words, photo):
            events = await self.caller.watch("generation.WatchGeneration", made)
            if events[-1].data["state"] != "SUCCEEDED":
                raise CanaryFailed(f"{made} ended as {events[-1].data['state']}.")
            self._made += events[-1].data["outputAssets"]
        await self.caller.grpc_web("generation.StreamGeneration", name=words)
        await self.ask("generation.GetGeneration", of=photo)
        await self.ask("generation.ListGenerations")
        await self.ask("generation.ListEgress", of=words)
        unwanted = await self._order("what is cancelled", task="TEXT_TO_IMAGE")
        await self._unless_over(self.ask("generation.CancelGeneration", of=unwanted))
        await self.caller.watch("generation.WatchGeneration", unwanted)
        await self.ask("generation.DeleteGeneration", of=unwanted)

    async def _order(self, what: str, **more: Any) -> str:
        order = await self.ask(
            "generation.CreateGeneration", prompt=f"a fox of {self.word(f'prompt from {what}')}",
            count=1, requestId=self.request_id(f"generation from {what}"), **more,
        )  # fmt: skip
        return str(order["name"])

    async def _unless_over(self, call: Awaitable[Json]) -> None:
        try:
            await call
        except ApiRefused as refused:
            if refused.status >= 500:
                raise

    async def _packs(self) -> None:
        pack = await self.ask(
            "assets.CreatePack", title=self.word("first title of a pack"), requestId=self.request_id("pack")
        )
        name = pack["name"]
        await self.ask("assets.UpdatePack", of=name, title=self.word("title of a pack"))
        kept, made = self._assets["image/png"], self._assets["audio/mpeg"]
        await self.ask("assets.AddAssets", of=name, assets=[kept, made])
        await self.ask("assets.RemoveAssets", of=name, assets=[made])
        await self.ask("assets.PublishPack", of=name, confirm=True, attribution="NAMED")
        await self.ask("assets.ListPublicPacks")
        await self.ask("assets.UnpublishPack", of=name)
        await self.ask("assets.GetPack", of=name)
        await self.ask("assets.ListPacks")
        other = await self.ask(
            "assets.CreatePack", title=self.word("title of a deleted pack"),
            requestId=self.request_id("deleted pack"),
        )  # fmt: skip
        await self.ask("assets.DeletePack", of=other["name"])

    async def _public(self) -> None:
        await until(self._drawn, "The thumbnail of what was made last")
        works: list[str] = []
        for asset in (self._assets["image/jpeg"], self._made[-1], self._assets["model/gltf-binary"]):
            work = await self.ask(
                "assets.PublishAsset", of=asset, confirm=True, attribution="NAMED",
                requestId=self.request_id(f"publishing {len(works)}"),
            )  # fmt: skip
            works.append(work["name"])
        await self.ask("assets.LikePublication", of=works[0])
        await self.ask("assets.UnlikePublication", of=works[0])
        await self.ask("assets.LikePublication", of=works[0])
        await self.ask("assets.GetPublication", of=works[0])
        await self.ask("assets.ListPublications", mine=True)
        await self.ask("assets.AnonymisePublication", of=works[2])

    async def _drawn(self) -> bool | None:
        asset = await self.ask("assets.GetAsset", of=self._made[-1])
        return None if asset.get("renditionsPending") else True

    async def _rights(self) -> None:
        consents = (await self.ask("privacy.GetConsents"))["consents"]
        for number, consent in enumerate(consents):
            await self.ask(
                "privacy.SetConsent", kind=consent["kind"], granted=not consent.get("granted"),
                textSha256=consent["textSha256"], requestId=self.request_id(f"consent {number}"),
            )  # fmt: skip
        for rpc in ("privacy.ListAcceptances", "privacy.ListPolicyVersions", "privacy.ListHoldings"):
            await self.ask(rpc)
        for rpc in ("billing.GetBalance", "billing.ListEntries"):
            await self.ask(rpc)
        await self._unsigned()

    async def _unsigned(self) -> None:
        """What claims to come from a vendor and is not signed is refused, and no word of it stays."""
        said = {"type": "customer.deleted", "data": {"object": {"id": self.word("webhook nobody signed")}}}
        try:
            await self.ask("billing.ReceiveWebhook", of="webhooks/stripe", **said)
        except ApiRefused as refused:
            if refused.reason == "WEBHOOK_UNSIGNED":
                return
            raise
        raise CanaryFailed("A webhook that nobody signed was believed.")
