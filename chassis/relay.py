"""The relay: outbox rows to JetStream, in order, each until it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import Counter
from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.db import Database, Record, Statement

LOG = logging.getLogger("crafiq.relay")
RELAYED = Counter("crafiq_relayed_events", "Events that the bus has acknowledged.")
BATCH = 500
POLL = 0.5  # seconds, for what other processes committed
ANSWER = 5.0  # seconds the bus has to acknowledge a batch
LONGEST_PAUSE = 5.0  # seconds between attempts while the bus or the database is away

_WAITING = Statement(
    text(
        "SELECT number, id, subject, payload, traceparent FROM outbox"
        " ORDER BY number LIMIT :most FOR UPDATE SKIP LOCKED"
    )
)
_SENT = Statement(
    text("DELETE FROM outbox WHERE number = ANY (:numbers)").bindparams(
        bindparam("numbers", type_=ARRAY(BigInteger))
    )
)


class NotAcknowledged(Exception):
    """The bus is away, or did not take everything. What it did not take stays in the outbox."""


class Relay:
    """Publishes what is committed. Woken by commits of this process; polls for those of others.

    Several may run on one database: a row is in one relay's hands at a time. What was published but
    not deleted (a crash between) is published again under the same message id.
    """

    def __init__(self, db: Database, bus: Client) -> None:
        self._db, self._bus = db, bus
        self._inbox = ""
        self._awaited: set[int] = set()
        self._acknowledged: list[int] = []
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled; outlives outages of the database and of the bus."""
        pause = 0.0
        while True:
            try:
                await self.flush()
                pause = 0.0
            except Exception as error:
                pause = min(max(2 * pause, 0.1), LONGEST_PAUSE)
                LOG.warning("nothing can be relayed, next attempt in %.1f s: %s", pause, type(error).__name__)
                await asyncio.sleep(pause)
            else:
                await self._db.wait_committed(POLL)

    async def flush(self) -> int:
        """Publish what is there now; answers how many. Raises NotAcknowledged, DatabaseUnavailable."""
        total, last = 0, BATCH
        while last == BATCH:
            last = await self._batch()
            total += last
        return total

    async def _batch(self) -> int:
        async with self._db.transaction() as tx:
            waiting = await tx.all(_WAITING, most=BATCH)
            if not waiting:
                return 0
            sent = await self._publish(waiting)
            await tx.execute(_SENT, numbers=sent)
        RELAYED.inc(len(sent))
        if len(sent) < len(waiting):
            raise NotAcknowledged
        return len(sent)

    async def _publish(self, events: Sequence[Record]) -> list[int]:
        """Send all, then wait for all answers: the numbers that are stored for good."""
        if not self._bus.is_connected:
            raise NotAcknowledged
        if not self._inbox:
            inbox = self._bus.new_inbox()
            await self._bus.subscribe(f"{inbox}.*", cb=self._answer)
            self._inbox = inbox
        self._awaited, self._acknowledged = {event["number"] for event in events}, []
        self._answered.clear()
        for event in events:
            headers = {"Nats-Msg-Id": str(event["id"])}
            if event["traceparent"]:
                headers["traceparent"] = event["traceparent"]
            reply = f"{self._inbox}.{event['number']}"
            await self._bus.publish(event["subject"], event["payload"], reply, headers)
        try:
            async with asyncio.timeout(ANSWER):
                await self._answered.wait()
        except TimeoutError:
            LOG.warning("%d events were not acknowledged", len(self._awaited))
        return self._acknowledged

    async def _answer(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        if number not in self._awaited:
            return  # of a batch that was given up
        self._awaited.discard(number)
        if message.data.startswith(b'{"stream"'):
            self._acknowledged.append(number)
        else:  # an error of JetStream's, or nobody listens (no stream)
            LOG.error("the bus refuses an event: %s", message.data.decode() or "no stream takes it")
        if not self._awaited:
            self._answered.set()
