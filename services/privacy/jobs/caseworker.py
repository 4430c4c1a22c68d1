"""Brings erasures to their receipts, whoever is slow, away or lies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from prometheus_client import Counter

from chassis.clock import Clock
from chassis.errors import Refusal
from promises.erasing import Wanted
from services.privacy.adapters import RECEIPT, SUPPLEMENT, Bus, Holders, ReceiptKeys, TombstoneLedger
from services.privacy.domain import Case, CaseState, HolderCase, HolderState
from services.privacy.domain.erasures import IN_DOUBT, MESSAGES_WAITING, OPEN_ENDS
from services.privacy.domain.receipts import receipt, supplement
from services.privacy.jobs.looks import Found, News, is_clean, pause, verified, written
from services.privacy.repository import Erasures
from services.privacy.repository.erasures import Open

LOG = logging.getLogger("crafiq.erasures")
SIGNED = Counter("crafiq_erasure_receipts", "Receipts that were signed.")
REMINDED = Counter("crafiq_erasure_reminders", "Holders that were asked again.", ["holder", "cause"])

LEASE = timedelta(seconds=15)
AT_ONCE = 16
POLL = 0.5  # seconds
QUICK = (0.005, 0.01, 0.02, 0.04)  # seconds in which what waits in an outbox is likely to be relayed
MANY = 10_000  # cases of which there is news
SOON = 0.25  # seconds in which the other holders are likely to answer


@dataclass(frozen=True, slots=True)
class Tools:
    """What a case needs of the outside."""

    holders: Holders
    bus: Bus
    ledger: TombstoneLedger
    keys: ReceiptKeys


class Caseworker:
    """Looks at each case when it is due, or when there is news of it. Several may run."""

    def __init__(self, erasures: Erasures, tools: Tools, clock: Clock) -> None:
        self._erasures, self._tools, self._clock = erasures, tools, clock
        self._in_hand: dict[UUID, asyncio.Task[None]] = {}
        self._due: set[UUID] = set()
        self._news: dict[UUID, News] = {}
        self._ripening: set[UUID] = set()
        self._woken = asyncio.Event()

    def hear(self, erasure: UUID, account: UUID, holder: str) -> None:
        """There is news of a case: a holder answered.

        Most answer at once, and then one look is enough: it waits for them a little. Others of this service
        may have heard the rest.
        """
        if len(self._news) >= MANY:  # of cases that others bring to their end, nobody here hears more
            self._news.clear()
        news = self._news.setdefault(erasure, News(account, set(self._tools.holders.names)))
        news.silent.discard(holder)
        news.heard[holder] = self._clock.now()
        if news.silent:
            self._ripen(erasure)
        else:
            self._take(erasure)

    async def run(self) -> None:
        """Work until cancelled; what is in hand is left to its lease."""
        try:
            while True:
                await self._claim()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        while True:
                            self._begin()
                            self._woken.clear()
                            await self._woken.wait()
        finally:
            for task in self._in_hand.values():
                task.cancel()

    async def _claim(self) -> None:
        try:
            if free := max(0, AT_ONCE - len(self._in_hand) - len(self._due)):
                self._due.update(await self._erasures.claim(free, LEASE))
        except Exception as error:
            LOG.warning("cases can't be taken at the moment: %s", type(error).__name__)

    def _begin(self) -> None:
        for erasure in [each for each in self._due if each not in self._in_hand]:
            if len(self._in_hand) == AT_ONCE:
                return
            self._due.discard(erasure)
            self._in_hand[erasure] = asyncio.create_task(self._look(erasure))

    def _take(self, erasure: UUID) -> None:
        self._due.add(erasure)
        self._woken.set()

    async def _look(self, erasure: UUID) -> None:
        try:
            await self.step(erasure)
        except Exception as error:
            LOG.warning("erasures/%s is looked at again: %s", erasure, _cause(error), exc_info=error)
        finally:
            del self._in_hand[erasure]
            self._woken.set()

    def _ripen(self, erasure: UUID) -> None:
        """Look soon, whatever was heard by then."""

        def ripe() -> None:
            self._ripening.discard(erasure)
            if erasure in self._news:  # else it is through
                self._take(erasure)

        if erasure not in self._ripening:
            self._ripening.add(erasure)
            asyncio.get_running_loop().call_later(SOON, ripe)

    async def step(self, erasure: UUID) -> None:
        """Do what can be done now for a case, and say when to look again."""
        news = self._news.get(erasure)
        if news is not None and news.heard.keys() >= set(self._tools.holders.names):
            # Nothing has to be read before they are asked.
            await self._look_through(erasure, news.account, self._tools.holders.names)
            return
        case = await self._erasures.get(erasure)
        if case is None or case.state not in (CaseState.APPROVED, CaseState.ERASING):
            self._news.pop(erasure, None)
        elif case.state is CaseState.APPROVED and news is not None and news.heard:
            self._ripen(erasure)  # who has to begin it may be somebody else
        if case is None or case.account is None:
            return
        if case.state is CaseState.APPROVED:
            await self._doubt(case, case.account)
        elif case.state is CaseState.ERASING:
            await self._advance(case, case.account)
        elif case.state is CaseState.RECEIPT_SIGNED:
            await self._close(case, case.account)

    async def _doubt(self, case: Case, account: UUID) -> None:
        """Nothing was heard of an approval: if nobody has begun, it is taken back; else it is carried out.

        Identity may not have, and somebody who started meanwhile may have gone by the ledger.
        """
        if self._clock.now() < case.approved_at + IN_DOUBT:
            return
        asked = self._tools.holders.names
        found = await asyncio.gather(*(self._tools.holders.verify(name, account, case.id) for name in asked))
        lives = all(each.standing.progress == promises_pb2.PROGRESS_UNSPECIFIED for each in found)
        if lives:
            await self._tools.ledger.void_all(case.id, case.approved_at)
        async with self._erasures.locked(case.id) as held:
            if held is None or held.case.approved_at != case.approved_at:
                return
            if lives and held.case.void(case.approved_at):
                LOG.warning("%s was approved and not carried out: its tombstone is void", case.name)
            elif not lives:
                held.case.begin(case.approved_at, self._clock.now())
            await held.save()

    async def _advance(self, case: Case, account: UUID) -> None:
        wanted = Wanted(account, case.id, case.deleted_at or case.approved_at)
        heard = self._heard(case.id)
        holders = await self._erasures.holders(case.id)
        late = [each.holder for each in holders if each.holder not in heard and self._is_late(each)]
        causes = dict(
            zip(late, await asyncio.gather(*(self._remind(name, wanted) for name in late)), strict=True)
        )
        for each in holders:
            each.answer(heard.get(each.holder))
        ready = [each.holder for each in holders if each.state is HolderState.ANSWERED]
        done = all(each.state is HolderState.VERIFIED for each in holders if each.holder not in ready)
        await self._look_through(case.id, account, ready, causes, others_done=done)

    async def _look_through(
        self,
        erasure: UUID,
        account: UUID,
        ready: Sequence[str],
        causes: Mapping[str, str] = MappingProxyType({}),
        *,
        others_done: bool = True,
    ) -> None:
        """What those who answered still have; and the receipt, if that is nothing."""
        heard = self._heard(erasure)
        looks = [self._find(name, account, erasure) for name in ready]
        found = dict(zip(ready, await asyncio.gather(*looks), strict=True))
        # Nobody has anything any more, and no message waits to be sent: the bus is emptied last.
        clean = others_done and all(is_clean(each) for each in found.values())
        purged = await self._purge(account) if clean else None
        async with self._erasures.locked(erasure) as held:
            if held is None or held.case.state is not CaseState.ERASING:
                self._news.pop(erasure, None)
                return
            now = self._clock.now()
            held.hear(heard)
            if verified(written(held.holders, causes, found, now)) and purged is not None:
                self._sign(held, purged, now)
            else:
                held.case.wait(pause(held.holders), now)
            await held.save()
        self._wait_for(held, account, heard, ready)

    def _heard(self, erasure: UUID) -> dict[str, datetime]:
        news = self._news.get(erasure)
        return dict(news.heard) if news is not None else {}

    def _wait_for(
        self, held: Open, account: UUID, written_down: Mapping[str, datetime], asked: Sequence[str]
    ) -> None:
        """Whose answer leads to the next look; or what was heard during this one, here or by others."""
        if held.case.state is not CaseState.ERASING:
            self._news.pop(held.case.id, None)
            return
        meanwhile = {
            name: at for name, at in self._heard(held.case.id).items() if written_down.get(name) != at
        }
        waiting = {each.holder for each in held.holders if each.state is HolderState.WAITING}
        self._news[held.case.id] = News(account, waiting.difference(meanwhile), meanwhile)
        unasked = any(e.state is HolderState.ANSWERED and e.holder not in asked for e in held.holders)
        if meanwhile or unasked or any(each.cause == MESSAGES_WAITING for each in held.holders):
            self._ripen(held.case.id)

    def _sign(self, held: Open, purged: int, now: datetime) -> None:
        held.case.bus_before = purged
        held.case.sign(self._tools.keys.sign(RECEIPT, receipt(held.case, held.holders, now)), now)
        SIGNED.inc()

    async def _purge(self, account: UUID) -> int | None:
        """How many messages there were; None if there may still be some."""
        try:
            return await self._tools.bus.purge(account)
        except Refusal as refusal:
            LOG.warning("a receipt has to wait: %s", refusal.reason)
            return None

    def _is_late(self, holder: HolderCase) -> bool:
        return holder.state is HolderState.WAITING and holder.remind_at <= self._clock.now()

    async def _remind(self, holder: str, wanted: Wanted) -> str:
        """Ask it again; answers why it is not done, as far as that is known."""
        try:
            standing = await self._tools.holders.erase(holder, wanted)
            cause = standing.cause or promises_pb2.Progress.Name(standing.progress)
        except Refusal as refusal:
            cause = refusal.reason
        REMINDED.labels(holder, cause).inc()
        return cause

    async def _find(self, holder: str, account: UUID, erasure: UUID) -> Found:
        """What it finds. Its own answer is heard before its relay has noted that it was sent: a few times
        that is waited for."""
        try:
            for moment in QUICK:
                found = await self._tools.holders.verify(holder, account, erasure)
                if found.left or not found.waiting:
                    return found
                await asyncio.sleep(moment)
            return await self._tools.holders.verify(holder, account, erasure)
        except Refusal as refusal:
            return refusal.reason

    async def _close(self, case: Case, account: UUID) -> None:
        """Sign the supplement once a scrub came after the receipt and the last vendor's copy has ended."""
        now, since = self._clock.now(), case.signed_at or self._clock.now()
        senders = [each.holder for each in await self._erasures.holders(case.id) if each.vendors]
        found = [await self._tools.holders.verify(holder, account, case.id) for holder in senders]
        async with self._erasures.locked(case.id) as held:
            if held is None or held.case.state is not CaseState.RECEIPT_SIGNED:
                return
            scrub = await held.clean_scrub(since)
            if scrub is None or any(each.vendor_copies for each in found):
                held.case.wait(OPEN_ENDS, now)
            else:
                said = supplement(held.case, held.holders, scrub, now)
                held.case.close(self._tools.keys.sign(SUPPLEMENT, said), now)
            await held.save()


def _cause(error: Exception) -> str:
    return error.reason if isinstance(error, Refusal) else type(error).__name__
