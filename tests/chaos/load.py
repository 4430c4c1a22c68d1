"""People at work while something goes wrong, and how long it takes until all is well again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp

from tests.chaos.injector import Injector
from tests.chaos.patience import Patient
from tests.chaos.people import Someone
from tests.support import eventually

IMPATIENT = aiohttp.ClientTimeout(total=2)
"""A call that takes longer is given up and made again."""
AFFORDABLE = 15
"""Pictures that the first credits pay for, and some more for whatever else is asked of that person."""


async def working(someone: Someone) -> None:
    """A day of somebody's: every wish of it is granted in the end, once."""
    affordable = len(someone.generations) < AFFORDABLE
    order = await someone.order("a copper kettle") if affordable else ""
    asset = await someone.upload("photo")
    await someone.publish(asset["name"])
    await someone.upload()
    if order:
        await someone.ended(order)


@asynccontextmanager
async def busy(*people: Someone) -> AsyncIterator[None]:
    """They work until the block ends, and finish what they are at."""
    over = asyncio.Event()

    async def keep_working(someone: Someone) -> None:
        while not over.is_set():
            await working(someone)

    tasks = [asyncio.create_task(keep_working(someone)) for someone in people]
    try:
        yield
        over.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def only_their_own(someone: Someone) -> None:
    """All that the API calls theirs has their mark; every job of theirs has ended, at its price."""
    seen = await someone.everything()
    uploads = [each for each in seen["assets"]["assets"] if not each["generation"]]
    assert all(each["title"].startswith(someone.mark) for each in uploads)
    made = seen["generations"]["generations"]
    assert {each["name"] for each in made} == set(someone.generations)
    assert all(each["prompt"].startswith(someone.mark) for each in made)
    charged = sum(each["chargedCredits"] for each in made)
    assert (seen["balance"]["held"], seen["balance"]["settled"]) == (0, charged)


async def recovery(injector: Injector, part: str, someone: Someone) -> float:
    """Seconds from when a part takes requests again until somebody got through with all that there is.

    They sign in, upload, have something made and paid, and ask all holders what deleting would do.
    """
    await injector.is_back(part)
    began = monotonic()
    async with aiohttp.ClientSession(timeout=IMPATIENT) as http:
        again = someone.with_api(Patient(http, injector.running.gateway))
        await again.sign_in()
        await again.upload()
        made = await again.ended(await again.order("a bell"))
        assert made["state"] == "SUCCEEDED", made
        await eventually(lambda: _heard(again), timeout=30)
    return monotonic() - began


async def _heard(someone: Someone) -> bool:
    """Billing has heard that the job ended, and nobody is silent."""
    plan = await someone.api.post("/v1/accounts/me:previewDeletion")
    return not (await someone.person.balance())["held"] and not plan["silentHolders"]
