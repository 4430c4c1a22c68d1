"""The last chapter: the person leaves, sees what that does, has it done, and holds the receipt."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from cli.api import Api, ApiRefused, Json
from cli.demo.story import Seen, require
from cli.progress import Progress, Step
from cli.receipts import verified
from cli.search.stores import Searched

STEPS = 5
FATES = {
    "ERASED_NOW": "erased now",
    "ANONYMISED": "stays as nobody's",
    "RETAINED_UNTIL": "kept until a date",
    "IN_BACKUPS_UNTIL": "in backups for 30 days",
}


@dataclass
class Left:
    """What became of the person, as the report shows it."""

    plan: Json = field(default_factory=dict)
    publication: str = ""
    progress: list[tuple[float, str, str]] = field(default_factory=list)
    receipt: Json = field(default_factory=dict)
    file: Path | None = None
    gone: list[tuple[str, str]] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)


class Leaving:
    """Preview, deletion, receipt, over the public API only."""

    def __init__(self, api: Api, password: str, out: Path, progress: Progress) -> None:
        self._api, self._password, self._out, self._progress = api, password, out, progress
        self._secret = secrets.token_urlsafe(24)

    async def run(self, seen: Seen) -> Left:
        """All of it; raises DemoFailed or ApiRefused at the first thing that did not happen."""
        left = Left()
        private, public = [name for made in seen.made for name in made.generation["outputAssets"]][:2]
        await self._publish(left, public)
        await self._preview(left)
        await self._delete(left)
        await self._receipt(left)
        await self._ask(left, private)
        return left

    async def _publish(self, left: Left, asset: str) -> None:
        with self._progress.step("Make one picture public, under a name") as step:
            order = {"confirm": True, "attribution": "NAMED", "requestId": str(uuid.uuid4())}
            work = await self._api.post(f"/v1/{asset}:publish", **order)
            left.publication = work["name"]
            step.found(f"{work['name']}, by {work['username']}")
            require(bool(work["username"]), "A work that is published under a name should show it.")

    async def _preview(self, left: Left) -> None:
        with self._progress.step("Look at what deleting the account would do") as step:
            left.plan = await self._api.post("/v1/accounts/me:previewDeletion")
            require(not left.plan["silentHolders"], "Every holder should have answered.")
            step.found(", ".join(f"{_count(left.plan, fate)} {words}" for fate, words in FATES.items()))

    async def _delete(self, left: Left) -> None:
        with self._progress.step("Delete the account") as step:
            proof = await self._api.post("/v1/sessions:reauthenticate", password=self._password)
            answer = await self._api.post(
                "/v1/accounts/me:delete",
                reauthToken=proof["reauthToken"],
                planHash=left.plan["planHash"],
                requestId=str(uuid.uuid4()),
                receiptSecret=self._secret,
            )
            self._api.send("X-Receipt-Secret", self._secret)
            last = await self._watch(left, answer["erasure"], step)
            require(last == "RECEIPT_SIGNED", f"{answer['erasure']} ended as {last}.")
            step.found(f"nothing is found any more, {left.progress[-1][0]:.2f} s after the answer")

    async def _watch(self, left: Left, erasure: str, step: Step) -> str:
        began, seen, state = monotonic(), dict[str, str](), ""
        async for event in self._api.events(f"/v1/{erasure}:watch"):
            state = event.data["state"]
            for holder in event.data["holders"]:
                if seen.get(holder["holder"]) != holder["state"]:
                    seen[holder["holder"]] = holder["state"]
                    left.progress.append((monotonic() - began, holder["holder"], holder["state"]))
            step.found(", ".join(f"{holder} {where.lower()}" for holder, where in seen.items()))
        left.progress.append((monotonic() - began, "all", state))
        left.receipt["erasure"] = erasure
        return state

    async def _receipt(self, left: Left) -> None:
        with self._progress.step("Verify the receipt") as step:
            compact = await self._api.text(f"/v1/{left.receipt['erasure']}/receipt")
            _, left.receipt = verified(compact, await self._api.text("/v1/receipts/keys"))
            left.file = self._out / "receipt.jws"
            left.file.write_text(compact, encoding="ascii")
            lines = [line for holder in left.receipt["holders"] for line in holder["data"]]
            clean = all(line["leftNow"] == 0 for line in lines)
            require(clean, "The receipt should say that nothing is left.")
            step.found(f"signed; {sum(line['foundBefore'] for line in lines)} entries found before, 0 left")

    async def _ask(self, left: Left, private: str) -> None:
        with self._progress.step("Ask for what is left") as step:
            for path in ("/v1/accounts/me", f"/v1/{private}", "/v1/generations"):
                left.gone.append((path, await self._refused(path)))
            work = await self._api.get(f"/v1/{left.publication}")
            require(not work["username"], "A public work of somebody who left should name nobody.")
            content = await self._api.fetch(work["renditions"][0]["url"])
            left.gone.append((f"/v1/{left.publication}", f"there, by nobody, {len(content):,} bytes"))
            step.found("refused what is private; the public picture stays, and names nobody")

    async def _refused(self, path: str) -> str:
        try:
            await self._api.get(path)
        except ApiRefused as refused:
            return f"{refused.status} {refused.reason}"
        require(False, f"{path} should not be answered any more.")  # noqa: FBT003 - reads as a sentence
        return ""


def _count(plan: Json, fate: str) -> int:
    buckets = [bucket for bucket in plan["buckets"] if bucket["fate"] == fate]
    return sum(int(each["count"]) for bucket in buckets for each in bucket["counts"])
