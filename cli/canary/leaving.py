"""The canary leaves; what is with others ends by their own clocks."""

from __future__ import annotations

import json
import uuid

import aiohttp

from cli.api import ApiRefused
from cli.canary.life import CanaryFailed, Life, until
from cli.search import Hit, Needles
from cli.search.stores import Stores

STEPS = 2
EXPECTED = {"prompt"}
"""What a vendor may have been sent of a person's own words; all else in its journal is found as a leak."""


async def leave(life: Life) -> str:
    """Delete the account and wait for the receipt; answers the erasure. Raises CanaryFailed, ApiRefused."""
    with life.progress.step("Delete the account, wait for the receipt") as step:
        plan = await life.ask("privacy.PreviewDeletion")
        if plan.get("silentHolders"):
            raise CanaryFailed(f"These did not answer: {plan['silentHolders']}")
        proof = await life.ask("identity.Reauthenticate", password=life.password)
        secret = life.word("receipt secret")
        before = len(await life.mails())
        answer = await life.ask(
            "identity.DeleteAccount",
            reauthToken=life.markers.told("proof", proof["reauthToken"]),
            planHash=plan["planHash"],
            requestId=str(uuid.uuid4()),  # it becomes the name of the erasure, which stays
            receiptSecret=secret,
        )
        erasure = str(answer["erasure"])
        life.caller.api.send("x-receipt-secret", secret)
        events = await life.caller.watch("privacy.WatchErasure", erasure)
        if events[-1].data["state"] != "RECEIPT_SIGNED":
            raise CanaryFailed(f"{erasure} ended as {events[-1].data['state']}.")
        await _documents(life, erasure)
        await until(lambda: _more_than(life, before), "The mail that confirms the deletion")
        step.found(f"signed for {len(events[-1].data['holders'])} holders")
    return erasure


async def _documents(life: Life, erasure: str) -> None:
    await life.ask("privacy.GetErasure", of=erasure)
    await life.caller.text("privacy.GetReceipt", of=erasure)
    await life.caller.text("privacy.GetReceiptKeys")
    try:
        await life.caller.text("privacy.GetSupplement", of=erasure)
    except ApiRefused as refused:
        if refused.reason != "SUPPLEMENT_NOT_READY":
            raise


async def _more_than(life: Life, before: int) -> bool | None:
    return len(await life.mails()) > before or None


async def clocks_run_out(life: Life, stores: Stores, http: aiohttp.ClientSession) -> list[Hit]:
    """Empty the canary's mailbox; let the vendor's clock run out for what it was sent.

    Answers what the vendor was sent beyond the words that it needs.
    """
    needles, leaks, ours = Needles(life.markers.given), list[Hit](), 0
    with life.progress.step("Empty the mailbox, let the vendor's clock run out") as step:
        for entry in await stores.kept_by_vendors():
            found = {
                name: list(needles.within(_text(value), f"vendor: {name}")) for name, value in entry.items()
            }
            leaks += [hit for name, hits in found.items() if name not in EXPECTED for hit in hits]
            if any(found.values()):
                ours += 1
                await stores.clock_runs_out(entry["vendor"], entry["requestId"])
        async with http.delete(f"{life.inbox}/messages", params={"to": life.email}) as answer:
            answer.raise_for_status()
        step.found(f"{ours} requests at vendors")
    if not ours:
        raise CanaryFailed("No vendor was sent anything: the canary made nothing.")
    return leaks


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
