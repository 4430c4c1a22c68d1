"""Looking for the person in the stores themselves, as the operator of this machine can: before and after.

What is searched is what can tell at once: tables, objects, logs and traces. The databases' raw files have to
be scrubbed first (`make scrub`), vendors and mailboxes are other people's: `make canary` searches all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

import aiohttp

from cli.demo.story import require
from cli.local import Local
from cli.progress import Progress
from cli.search import Hit, Needles, Sought
from cli.search.files import look_through
from cli.search.spellings import SHORTEST
from cli.search.stores import Searched, Stores

STEPS = 2
WRITTEN = ("logs", "traces")
FAREWELL_SECONDS = 15
"""The farewell's row has the address until it is sent."""


class Leftovers:
    """What a person gave, by what it is: searched for while they live, and when they have left."""

    def __init__(
        self, local: Local, http: aiohttp.ClientSession, progress: Progress, gave: Mapping[str, str]
    ) -> None:
        self._local, self._http, self._progress = local, http, progress
        words = [Sought(name, word.encode()) for name, word in gave.items()]
        self._sought = [each for each in words if len(each.value) >= SHORTEST]

    async def anyones(self) -> None:
        """Before the person comes: words that somebody else gave too are not searched for."""
        theirs = {hit.sought for hit in (await self._stores().rows()).hits}
        self._sought = [each for each in self._sought if each not in theirs]

    async def alive(self) -> None:
        """Find them in the tables. Raises DemoFailed if it misses one: silence later would say nothing."""
        with self._progress.step("Find the person in the databases") as step:
            hits = (await self._stores().rows()).hits
            missed = {each.name for each in self._sought} - {hit.sought.name for hit in hits}
            require(not missed, f"The search should find {', '.join(sorted(missed))}.")
            step.found(f"{_words(self._sought)}: in {', '.join(sorted({hit.place for hit in hits}))}")

    async def gone(self) -> list[Searched]:
        """Find them nowhere; answers what was searched. Raises DemoFailed if something is left."""
        with self._progress.step("Search the stores for what is left") as step:
            searched, until = await self._look(), monotonic() + FAREWELL_SECONDS
            while _hits(searched) and monotonic() < until:
                await asyncio.sleep(0.2)  # until the postman, another process, has sent the farewell
                searched = await self._look()
            left = ", ".join(sorted({f"{hit.sought.name} in {hit.place}" for hit in _hits(searched)}))
            require(not left, f"Nothing should be left, and there is: {left}.")
            amounts = ", ".join(f"{each.amount:,} {each.unit}" for each in searched)
            step.found(f"searched {amounts}: nothing")
        return searched

    async def _look(self) -> list[Searched]:
        stores = self._stores()
        return [await stores.rows(), await stores.objects(), await asyncio.to_thread(self._written)]

    def _written(self) -> Searched:
        done = Searched("logs and traces", "bytes of logs and traces")
        for folder in WRITTEN:
            looked = look_through(self._local.state.folder(folder), Needles(self._sought))
            done.amount += looked.size
            done.hits += looked.hits
        return done

    def _stores(self) -> Stores:
        return Stores(self._local, self._http, Needles(self._sought))


def _hits(searched: list[Searched]) -> list[Hit]:
    return [hit for each in searched for hit in each.hits]


def _words(sought: list[Sought]) -> str:
    return ", ".join(each.name for each in sought)
