"""Mails leave the queue: at once when all is well, later and later when it is not."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from crafiq.identity.v1.events_pb2 import NoticeSent
from prometheus_client import Counter

from chassis.clock import Clock
from chassis.db import Database
from services.identity.adapters.smtp import AddressRefused, Mailer, MailServerUnavailable
from services.identity.domain.mails import Mail
from services.identity.domain.remembered import Farewell
from services.identity.repository.mails import AT_ONCE, FAREWELLS, PEOPLES, Q, Queue

log = logging.getLogger(__name__)

MAILS = Counter("crafiq_identity_mails", "Mails by what became of them", ["kind", "fate"])
POLL_SECONDS = 2.0
TOGETHER_SECONDS = 0.2
"""After mails have gone out: what comes meanwhile goes out together."""


class Postman:
    """Sends what is in the queue, until cancelled. `wake` after a commit; otherwise it looks by itself."""

    def __init__(self, db: Database, clock: Clock, mailer: Mailer, public_url: str) -> None:
        self._db, self._clock, self._mailer, self._public_url = db, clock, mailer, public_url
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._woken.clear()
            if (tried := await self.deliver_due()) >= AT_ONCE:  # there may be more
                continue
            if tried:
                await asyncio.sleep(TOGETHER_SECONDS)
            try:
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            except TimeoutError:
                continue

    async def deliver_due(self) -> int:
        """Hand over up to ten mails of each queue that are due; answers how many it tried."""
        return await self._deliver_due(PEOPLES) + await self._deliver_due(FAREWELLS)

    async def _deliver_due(self, queue: Queue[Q]) -> int:
        due = await queue.claim(self._db, self._clock.now())
        fates = await asyncio.gather(*(self._deliver(queue, mail) for mail in due), return_exceptions=True)
        for fate in fates:  # one that broke does not keep the others from going out
            if fate is not None:
                raise fate
        return len(due)

    async def _deliver(self, queue: Queue[Q], mail: Q) -> None:
        if not await queue.has(self._db, mail.id):
            return  # its person left while it was on the way from the queue to here
        try:
            await self._mailer.send(mail.letter(self._public_url), mail.recipient, mail.id)
        except AddressRefused:
            await self._close(queue, mail, "refused")
        except MailServerUnavailable as trouble:
            MAILS.labels(mail.kind, "postponed").inc()
            log.warning("a mail of kind %s has to wait: %s", mail.kind, trouble)
            await queue.postpone(self._db, mail.id, self._clock.now() + mail.pause())
        else:
            await self._close(queue, mail, "sent")

    async def _close(self, queue: Queue[Q], mail: Q, fate: str) -> None:
        async with self._db.transaction() as tx:
            news = _news(mail, self._clock.now())
            if await queue.remove(tx, mail.id) and news is not None:
                tx.emit(news)
        MAILS.labels(mail.kind, fate).inc()


def _news(mail: Mail | Farewell, now: datetime) -> NoticeSent | None:
    """What is announced when a mail has gone out; nothing if no service waits for it."""
    if not isinstance(mail, Mail) or not mail.is_notice:
        return None
    event = NoticeSent(account=f"accounts/{mail.account}", notice=f"notices/{mail.id}")
    event.send_time.FromDatetime(now)
    return event
