"""A round: people leave while processes are killed; then everything that has to be true is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Self

import aiohttp

from cli.api import Json
from tests.chaos.audit import Audit, lost
from tests.chaos.injector import Injector
from tests.chaos.leaving import Leaver
from tests.chaos.load import only_their_own, working
from tests.chaos.patience import Patient
from tests.chaos.people import SLOW, Someone, Work, settled, slow_vendor
from tests.chaos.plan import Fault, Round
from tests.chaos.storm import Storm, storm
from tests.running import Running
from tests.support import eventually

SLOWLY = 2.0  # seconds the vendor takes over what is under way when its person leaves
CLOSED_SECONDS = 100.0  # an approval that led to nothing is looked into after a minute
MAILED_SECONDS = 60.0


@dataclass(frozen=True)
class Told:
    """What a round saw: seconds until all receipts, wishes until all were heard, messages that came again."""

    receipts: float
    repeated: int
    asked: int

    def __str__(self) -> str:
        return (
            f"all receipts after {self.receipts:.1f} s, {self.asked} wishes, {self.repeated} messages again"
        )


@dataclass
class Ground:
    """A platform and somebody who stays.

    `dead` are the public works of those who left, `marks` what they were known by, `known` what others had
    left behind there before.
    """

    injector: Injector
    http: aiohttp.ClientSession
    stay: Someone
    dead: list[Work] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @classmethod
    async def of(cls, running: Running, http: aiohttp.ClientSession) -> Self:
        """With one who stays and has something in every service."""
        stay = await settled(running, http)
        await stay.at_rest()
        await stay.drawn()
        ground = cls(Injector(running), http, stay)
        ground.known = await ground.faults()
        return ground

    @property
    def running(self) -> Running:
        """The platform as it runs now."""
        return self.injector.running

    @property
    def audit(self) -> Audit:
        """Looks into all that it stores."""
        return Audit(self.running)

    def anybody(self) -> Patient:
        """Somebody who is not signed in."""
        return Patient(self.http, self.running.gateway)

    async def play(self, plan: Round) -> Told:
        """Carry out a round; raises AssertionError for the first thing that is not as it has to be."""
        leavers, worker = await self._people(len(plan.waits))
        await self.stay.sign_in()
        before = await self.stay.everything()
        async with AsyncExitStack() as stack:
            blowing = await stack.enter_async_context(storm(self.running, Random(plan.seed)))
            began = monotonic()
            await _together(
                *(_after(wait, leaver.leave) for wait, leaver in zip(plan.waits, leavers, strict=True)),
                *(_after(fault.after, _injecting(self.injector, fault)) for fault in plan.faults),
                working(worker),
            )
            await self.injector.all_back()
            await _together(*(leaver.signed() for leaver in leavers))
            receipts = monotonic() - began
            repeated = await self._nothing_is_left(leavers, blowing)
        await self._nobody_else_is_touched(before, worker)
        await self.all_is_closed()
        return Told(receipts, repeated, sum(leaver.asked for leaver in leavers))

    async def _people(self, leavers: int) -> tuple[list[Leaver], Someone]:
        await slow_vendor(self.running, self.http, SLOWLY)
        people = await asyncio.gather(*(settled(self.running, self.http) for _ in range(leavers + 1)))
        for someone in people[1:]:
            await someone.at_rest()
            await someone.order(f"something {SLOW}")
            self.marks.append(someone.mark)
        return [Leaver(someone, self.anybody()) for someone in people[1:]], people[0]

    async def _nothing_is_left(self, leavers: Sequence[Leaver], blowing: Storm) -> int:
        """At once, and again when everything was announced once more; answers how much that was."""
        accounts = [leaver.someone.account for leaver in leavers]
        for leaver in leavers:
            await self._is_gone(leaver)
        repeated = await blowing.everything_again(*accounts)
        await blowing.calm()
        for leaver in leavers:
            await self._is_gone(leaver)
            assert await blowing.left_of(leaver.someone.account) == []
            await leaver.receipt()
        await eventually(
            lambda: self._nowhere(*(leaver.someone.mark for leaver in leavers)),
            timeout=MAILED_SECONDS,
            every=0.5,
        )
        self.dead += [work for leaver in leavers for work in leaver.someone.works]
        assert await lost(self.anybody(), self.dead, name_of="") == []
        return repeated

    async def _is_gone(self, leaver: Leaver) -> None:
        account = leaver.someone.account
        assert await self.audit.of_account(account) == []
        assert await asyncio.to_thread(self.audit.on_shelf, account) == []

    async def _nowhere(self, *marks: str) -> bool:
        places = await self.audit.places(*marks)
        assert places == []
        return True

    async def _nobody_else_is_touched(self, before: Json, worker: Someone) -> None:
        assert await self.stay.everything() == before
        for someone in (self.stay, worker):
            assert await lost(self.anybody(), someone.works, name_of=someone.mark) == []
        await worker.at_rest()
        await only_their_own(worker)

    async def all_is_closed(self) -> None:
        """Nothing is under way any more, and nothing is as it must never be."""

        async def closed() -> bool:
            assert await self.faults() <= self.known, await self.faults() - self.known
            return True

        await eventually(closed, timeout=CLOSED_SECONDS, every=0.5)

    async def faults(self) -> set[str]:
        """What is unfinished or wrong."""
        return {*await self.audit.unfinished(), *await self.audit.wrong()}


def _injecting(injector: Injector, fault: Fault) -> Callable[[], Awaitable[None]]:
    return lambda: injector.inject(fault)


async def _after(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await act()


async def _together(*acts: Awaitable[object]) -> None:
    """All at once; the first that fails ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(act) for act in acts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
