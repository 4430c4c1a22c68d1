"""The main job, as a person would do it: sign up, confirm, upload, make, download, pay.

Every step checks what it got; nothing is taken on trust. What was seen goes into the report.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import mimetypes
import re
import secrets
import unicodedata
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from cli.api import Api, Json
from cli.progress import Progress, Step

STEPS = 9
PASSWORD_BYTES = 18
SIGNATURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}


class DemoFailed(Exception):
    """A step did not really happen."""


@dataclass
class Made:
    """One job and what came of it: its states as seen on the stream, its pictures on disk."""

    title: str
    prompt: str
    generation: Json = field(default_factory=dict)
    states: list[tuple[float, str, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    egress: list[Json] = field(default_factory=list)


@dataclass
class Seen:
    """Everything the report shows."""

    file: Path
    account: str = ""
    upload: Json = field(default_factory=dict)
    cleaned: Path | None = None
    removed_bytes: int = 0
    balances: list[tuple[str, Json]] = field(default_factory=list)
    entries: list[Json] = field(default_factory=list)
    vendors: list[Json] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)


def require(fact: bool, sentence: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Stop the demo if something did not really happen."""
    if not fact:
        raise DemoFailed(sentence)


class Story:
    """One person's way through the platform, over the public API only."""

    def __init__(self, api: Api, inbox: str, out: Path, progress: Progress) -> None:
        self._api = api
        self._inbox = inbox
        self._out = out
        self._progress = progress
        self.name = f"demo-{secrets.token_hex(4)}"
        self.email = f"{self.name}@example.com"
        self.password = secrets.token_urlsafe(PASSWORD_BYTES)

    def gives(self, file: Path, prompt: str) -> dict[str, str]:
        """What the person is going to say of themselves, by what it is."""
        return {
            "e-mail address": self.email,
            "user name": self.name,
            "prompt": prompt,
            "file name": unicodedata.normalize("NFC", file.name).strip(),  # as titles are kept
        }

    async def run(self, file: Path, prompt: str) -> Seen:
        """The whole story; raises DemoFailed or ApiRefused at the first thing that did not happen."""
        seen = Seen(file)
        self._out.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._sign_up()
        await self._confirm()
        await self._sign_in(seen)
        photo = await self._upload(seen)
        await self._compare(seen, photo)
        await self._make(seen, "From words", prompt, [], 2)
        await self._make(seen, "From the photo and words", prompt, [photo["name"]], 1)
        await self._who_received_what(seen)
        await self._pay(seen)
        return seen

    async def _sign_up(self) -> None:
        with self._progress.step("Sign up") as step:
            policy = await self._api.get("/v1/policy")
            answer = await self._api.post(
                "/v1/accounts",
                email=self.email,
                password=self.password,
                username=self.name,
                displayName="Demo Person",
                isAdult=True,
                acceptedPolicyVersion=policy["policyVersion"],
                acceptedTermsVersion=policy["termsVersion"],
                requestId=str(uuid.uuid4()),
            )
            require(answer["state"] == "UNVERIFIED", "The new account should wait for its confirmation.")
            step.found(f"policy {policy['policyVersion']} accepted, waiting for the mail")

    async def _confirm(self) -> None:
        with self._progress.step("Confirm the address from the mailbox") as step:
            mail = await self._first_mail()
            token = re.search(r"token=([A-Za-z0-9_.~-]+)", mail["text"])
            require(token is not None, "The mail should carry a link with a token.")
            assert token is not None
            answer = await self._api.post("/v1/accounts:verifyEmail", token=token[1])
            require(answer["state"] == "ACTIVE", "The account should be active after the confirmation.")
            step.found(mail["subject"])

    async def _first_mail(self) -> Json:
        until = monotonic() + 15
        while monotonic() < until:
            content = await self._api.fetch(f"{self._inbox}/messages?to={self.email}")
            if messages := json.loads(content):
                return dict(messages[0])
            await asyncio.sleep(0.05)
        raise DemoFailed("No mail arrived within 15 s; .crafiq/logs/identity.log may tell why.")

    async def _sign_in(self, seen: Seen) -> None:
        with self._progress.step("Sign in") as step:
            session = await self._api.post("/v1/sessions", email=self.email, password=self.password)
            self._api.sign_in_with(session["accessToken"])
            seen.account = session["account"]
            me = await self._api.get("/v1/accounts/me")
            require(me["email"] == self.email, "The profile should show the confirmed address.")
            balance = await self._balance(seen, "at the start")
            require(balance["available"] > 0, "A new account should have credits to begin with.")
            step.found(f"{balance['available']} credits to begin with")

    async def _balance(self, seen: Seen, when: str) -> Json:
        balance = await self._api.get("/v1/billing/balance")
        seen.balances.append((when, balance))
        return balance

    async def _upload(self, seen: Seen) -> Json:
        with self._progress.step(f"Upload {seen.file.name}") as step:
            content = seen.file.read_bytes()
            upload = await self._api.post(
                "/v1/uploads",
                filename=seen.file.name,
                contentType=mimetypes.guess_type(seen.file.name)[0] or "application/octet-stream",
                sizeBytes=str(len(content)),
                sha256=hashlib.sha256(content).hexdigest(),
                requestId=str(uuid.uuid4()),
            )
            await self._api.put(upload["url"], content, upload["headers"])
            asset = await self._api.post(f"/v1/{upload['name']}:complete")
            seen.upload = asset
            step.found(f"{len(content):,} bytes, {asset['width']} x {asset['height']} {asset['contentType']}")
            return asset

    async def _compare(self, seen: Seen, photo: Json) -> None:
        with self._progress.step("Read it back from the library") as step:
            content = await self._download(photo)
            original = seen.file.read_bytes()
            marks = [mark for mark in (b"Exif\0\0", b"eXIf", b"http://ns.adobe.com/xap") if mark in original]
            require(not any(mark in content for mark in marks), "Metadata of the photo is in the library.")
            seen.cleaned = self._save("library", content, photo["contentType"])
            seen.removed_bytes = len(original) - len(content)
            what = f"{seen.removed_bytes:,} bytes of metadata are gone" if marks else "it had no metadata"
            step.found(what)

    async def _download(self, asset: Json) -> bytes:
        link = await self._api.get(f"/v1/{asset['name']}:download")
        content = await self._api.fetch(link["url"])
        digest = hashlib.sha256(content).hexdigest()
        require(digest == asset["sha256"], f"The bytes of {asset['name']} are not what its record says.")
        return content

    def _save(self, stem: str, content: bytes, content_type: str) -> Path:
        signature = SIGNATURES.get(content_type, b"")
        require(content.startswith(signature), f"{stem} is not the {content_type} it is called.")
        path = self._out / f"{stem}{mimetypes.guess_extension(content_type) or '.bin'}"
        path.write_bytes(content)
        return path

    async def _make(self, seen: Seen, title: str, prompt: str, inputs: list[str], count: int) -> None:
        made = Made(title, prompt)
        seen.made.append(made)
        with self._progress.step(f"Make: {title.lower()}") as step:
            order = await self._api.post(
                "/v1/generations",
                task="IMAGE_TO_IMAGE" if inputs else "TEXT_TO_IMAGE",
                prompt=prompt,
                inputAssets=inputs,
                count=count,
                requestId=str(uuid.uuid4()),
            )
            made.generation = await self._watch(made, order["name"], step)
            outputs = made.generation["outputAssets"]
            require(len(outputs) == count, f"{count} pictures were asked for, {len(outputs)} delivered.")
            for name in outputs:
                asset = await self._api.get(f"/v1/{name}")
                stem = f"{len(seen.made)}-{len(made.files) + 1}"
                made.files.append(self._save(stem, await self._download(asset), asset["contentType"]))
            step.found(
                f"{len(outputs)} from {made.generation['model']}, {made.generation['quotedCredits']} credits"
            )

    async def _watch(self, made: Made, name: str, step: Step) -> Json:
        began = monotonic()
        last: Json = {}
        async for event in self._api.events(f"/v1/{name}:watch"):
            require(event.event == "state", f"The stream said {event.event}: {event.data}")
            last = event.data
            made.states.append((monotonic() - began, last["state"], last.get("note", "")))
            step.found(f"{last['state']} {last.get('note', '')}".strip())
        require(last.get("state") == "SUCCEEDED", f"{name} ended as {last.get('state')}: {last.get('note')}")
        return last

    async def _who_received_what(self, seen: Seen) -> None:
        with self._progress.step("Ask who received what") as step:
            seen.vendors = (await self._api.get("/v1/vendors"))["vendors"]
            for made in seen.made:
                made.egress = (await self._api.get(f"/v1/{made.generation['name']}/egress"))["egress"]
                require(len(made.egress) >= 1, "Each job should have a record of what left the platform.")
            sent = [entry for made in seen.made for entry in made.egress]
            step.found("; ".join(f"{e['vendor']}: {', '.join(e['fields'])}" for e in sent))

    async def _pay(self, seen: Seen) -> None:
        with self._progress.step("Pay in credits") as step:
            first = seen.balances[0][1]
            cost = sum(made.generation["quotedCredits"] for made in seen.made)
            until = monotonic() + 10
            balance = await self._api.get("/v1/billing/balance")
            while balance["held"] and monotonic() < until:
                await asyncio.sleep(0.05)
                balance = await self._api.get("/v1/billing/balance")
            seen.balances.append(("at the end", balance))
            seen.entries = (await self._api.get("/v1/billing/entries?pageSize=100"))["entries"]
            require(balance["held"] == 0, "Every hold should be settled when its job has ended.")
            require(balance["settled"] == cost, f"{cost} credits should be settled: {balance}")
            require(balance["available"] == first["available"] - cost, f"The books do not agree: {balance}")
            step.found(f"{cost} credits paid, {balance['available']} left, nothing held")
