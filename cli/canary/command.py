"""`crafiq canary`: live, leave, scrub, search everything, report."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import grpc.aio

from cli.api import ApiRefused
from cli.canary.leaving import STEPS as LEAVING
from cli.canary.leaving import clocks_run_out, leave
from cli.canary.life import STEPS as LIVING
from cli.canary.life import CanaryFailed, Life, headers
from cli.canary.markers import Markers
from cli.canary.rpcs import Caller
from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError, print_table
from cli.progress import Progress
from cli.scrub.asked import ended_when_told
from cli.scrub.memory import Memory, UnderWay, alone
from cli.scrub.outcome import Outcome
from cli.scrub.work import STEPS as SCRUBBING
from cli.scrub.work import Scrub, tell_privacy
from cli.search import Hit, Needles
from cli.search.stores import Searched, Stores
from deploy.local.state import StateFolder, write_private

NOT_RUNNING = 3
SEARCHING = 7
ALIVE = {
    "e-mail address", "user name", "display name", "title of an asset", "title of a pack",
    "prompt from words", "words never completed",
}  # fmt: skip
"""Some of what has to be found in tables and objects before the canary leaves."""
FILE = "canary.json"
RAW_FILES = "raw files"
SECONDS = 60
SHOWN = 50


@dataclass
class Found:
    """What a canary came to. `unused`: RPCs that it does not use; `failure`: why it could not go on."""

    began: datetime
    markers: int = 0
    rpcs: int = 0
    searched: list[Searched] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def clean(self) -> bool:
        """It used everything, everything was searched, nothing was found."""
        return not (self.hits or self.unused or self.unfinished or self.failure)

    def as_json(self) -> dict[str, Any]:
        """As `canary.json` has it: fields and places, no values."""
        return {
            "began": self.began.isoformat(),
            "ended": datetime.now(UTC).isoformat(),
            "clean": self.clean,
            "markers": self.markers,
            "rpcs": self.rpcs,
            "searched": [
                {"what": each.what, "amount": each.amount, "unit": each.unit, "hits": len(each.hits)}
                for each in self.searched
            ],
            "hits": [{"field": hit.sought.name, "place": hit.place, "at": hit.at} for hit in self.hits],
            "rpcsUnused": self.unused,
            "unfinished": self.unfinished,
            "failure": self.failure,
        }


def run() -> int:
    """Answers the exit code: 1 if something was found or left out, 3 if nothing runs."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    state = StateFolder(told.state)
    try:
        found = asyncio.run(canary(Local.find(state)))
    except (NotUpError, UnderWay) as reason:
        print(reason, file=sys.stderr)
        return NOT_RUNNING
    write_private(state.root / FILE, json.dumps(found.as_json(), indent=1) + "\n")
    _show(found)
    return 0 if found.clean else 1


async def canary(local: Local) -> Found:
    """One canary, from its sign-up to what is found of it. Raises NotUpError, UnderWay."""
    markers, found = Markers(), Found(datetime.now(UTC))
    sent = headers(markers)
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    with ended_when_told(), alone(local.state):
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
            progress = Progress(LIVING + LEAVING + SCRUBBING + SEARCHING)
            caller = Caller(http, local.endpoints["gateway"], sent)
            life = Life(caller, markers, local.endpoints["inbox"], progress)
            try:
                await _live(local, life, http, found)
            except (CanaryFailed, ApiRefused, aiohttp.ClientError, TimeoutError) as failure:
                found.failure = str(failure) or type(failure).__name__
            found.markers, found.rpcs, found.unused = len(markers.given), len(caller.used), caller.unused
            await tell(local, found)
    return found


async def _live(local: Local, life: Life, http: aiohttp.ClientSession, found: Found) -> None:
    await life.run()
    await _seen(life, Stores(local, http, Needles(life.markers.given)))
    await leave(life)
    stores = Stores(local, http, Needles(life.markers.given))
    found.hits += await clocks_run_out(life, stores, http)
    scrubbed = await Scrub(local, Memory.of(local.state), life.progress, life.markers.given).run()
    found.unfinished += scrubbed.unfinished
    found.searched.append(Searched(RAW_FILES, "bytes", scrubbed.looked.size, scrubbed.hits))
    for name, search in stores.beside_files.items():
        with life.progress.step(f"Search {name}") as step:
            done = await search()
            found.searched.append(done)
            step.found(f"{done.amount:,} {done.unit}, {len(done.hits)} found")
    found.hits += [hit for each in found.searched for hit in each.hits]


async def tell(local: Local, found: Found) -> None:
    """What was found beside raw files: privacy heard of those by the scrub, and counts what it hears of."""
    told = [hit for each in found.searched if each.what == RAW_FILES for hit in each.hits]
    beside = [hit for hit in found.hits if hit not in told]
    if beside:
        try:
            await tell_privacy(local, Outcome(found.began, values=found.markers, hits=beside))
        except (grpc.aio.AioRpcError, NotUpError) as error:
            found.unfinished.append(f"privacy did not hear of what was found: {type(error).__name__}")


async def _seen(life: Life, stores: Stores) -> None:
    """A search that does not find the canary while it lives would find nothing of it later either."""
    with life.progress.step("Find it while it lives") as step:
        hits = (await stores.rows()).hits + (await stores.objects()).hits
        seen = {hit.sought.name for hit in hits}
        if missed := ALIVE - seen:
            raise CanaryFailed(f"The search does not find {', '.join(sorted(missed))}: it proves nothing.")
        step.found(f"{len(seen)} fields, in {len({hit.place for hit in hits})} places")


def _show(found: Found) -> None:
    print()
    rows = [("searched", "how much", "", "found")]
    rows += [(each.what, f"{each.amount:,}", each.unit, str(len(each.hits))) for each in found.searched]
    print_table(rows, left=1)
    print(f"\n{found.markers} markers, {found.rpcs} RPCs used.")
    for line in _details(found):
        print(line)
    print("Nothing of the canary is left." if found.clean else "Something of it is left, or unproven.")


def _details(found: Found) -> Sequence[str]:
    return [
        *([f"FAILED {found.failure}"] if found.failure else []),
        *(f"NOT USED {rpc}" for rpc in found.unused),
        *(f"NOT DONE {sentence}" for sentence in found.unfinished),
        *(f"FOUND {hit.sought.name} in {hit.place} at {hit.at}" for hit in found.hits[:SHOWN]),
    ]
