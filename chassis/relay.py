"""The relay: outbox rows to JetStream, in order, each until it is acknowledged."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError
from prometheus_client import Counter, Gauge
from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from chassis import deadletters
from chassis.db import Database, Record, Statement
from chassis.retry import growing

LOG = logging.getLogger("crafiq.relay")
RELAYED = Counter("crafiq_relayed_events", "Events that the bus has acknowledged.")
REFUSED = Counter("crafiq_refused_events", "Times that the bus took other events and not this.", ["outcome"])
CAUGHT_UP = Gauge("crafiq_relay_caught_up_timestamp_seconds", "When nothing was left to be relayed.")
BATCH = 500
POLL = 0.5  # seconds, for what other processes committed
ANSWER = 5.0  # seconds the bus has to acknowledge a batch
LONGEST_PAUSE = 2.0  # seconds between attempts while the bus or the database is away
SHORTEST_PAUSE = 0.1  # seconds
TRIES = 10
LONGEST_ASIDE = 60.0  # seconds between attempts with what the bus refuses
FORGOTTEN = 600.0  # seconds after which somebody else has seen to it
LOOKED_AT = 5000  # events in one attempt, for one that the bus takes

_WAITING = Statement(
    text(
        "SELECT number, id, subject, payload, traceparent FROM outbox"
        " WHERE number > :after AND number <> ALL (:aside)"
        " ORDER BY number LIMIT :most FOR UPDATE SKIP LOCKED"
    ).bindparams(bindparam("aside", type_=ARRAY(BigInteger)))
)
_SENT = Statement(
    text("DELETE FROM outbox WHERE number = ANY (:numbers)").bindparams(
        bindparam("numbers", type_=ARRAY(BigInteger))
    )
)


class NotAcknowledged(Exception):
    """The bus is away, or takes nothing. Everything stays in the outbox."""


class Relay:
    """Publishes what is committed. Woken by commits of this process; polls for those of others.

    Several may run on one database: a row is in one relay's hands at a time. What was published but
    not deleted (a crash between) is published again under the same message id.

    What the bus refuses while it takes other events (no stream has the subject, too large, no answer) is set
    aside, tried again later and later, ten times in three minutes, and then is a dead letter that can be
    replayed. While the bus takes nothing, nothing counts as refused, and everything keeps its order.
    """

    def __init__(self, db: Database, bus: Client) -> None:
        self._db, self._bus, self._caught_up = db, bus, CAUGHT_UP
        self._inbox = ""
        self._after = 0  # where the next attempt begins
        self._aside: dict[int, tuple[int, float]] = {}  # how often refused; not before
        self._awaited: dict[int, str] = {}
        self._acknowledged: list[int] = []
        self._refused: dict[int, tuple[str, str]] = {}  # the event; why
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled; outlives outages of the database and of the bus."""
        pause = 0.0
        while True:
            try:
                await self.flush()
                self._caught_up.set_to_current_time()
                pause = 0.0
            except Exception as error:
                pause = min(max(2 * pause, SHORTEST_PAUSE), LONGEST_PAUSE)
                LOG.warning("nothing can be relayed, next attempt in %.1f s: %s", pause, type(error).__name__)
                await asyncio.sleep(SHORTEST_PAUSE)
            # Also while the bus takes nothing: it may be the old rows that it does not take.
            await self._db.wait_committed(pause or POLL)

    async def flush(self) -> int:
        """Publish what is there now; answers how many. Raises NotAcknowledged, DatabaseUnavailable."""
        self._refused, self._awaited, total = {}, {}, 0
        after, self._after = self._after, 0
        while True:
            waiting, sent = await self._batch(after)
            total += sent
            if len(waiting) < BATCH or self._awaited:
                break
            after = waiting[-1]["number"]
            if not total and len(self._refused) >= LOOKED_AT:
                self._after = after  # the next attempt looks further
                break
        if self._refused and not total:
            LOG.warning("the bus takes nothing: %s", next(iter(self._refused.values()))[1])
            raise NotAcknowledged
        await self._set_aside()
        return total

    async def _batch(self, after: int) -> tuple[list[Record], int]:
        now = time.monotonic()
        aside = [number for number, (_, until) in self._aside.items() if until > now]
        async with self._db.transaction() as tx:
            waiting = await tx.all(_WAITING, after=after, aside=aside, most=BATCH)
            if not waiting:
                return waiting, 0
            sent = await self._publish(waiting)
            await tx.execute(_SENT, numbers=sent)
        RELAYED.inc(len(sent))
        return waiting, len(sent)

    async def _set_aside(self) -> None:
        now = time.monotonic()
        self._aside = {n: kept for n, kept in self._aside.items() if kept[1] > now - FORGOTTEN}
        unanswered = {number: (event, "no answer") for number, event in self._awaited.items()}
        for number, (event, reason) in (self._refused | unanswered).items():
            tries = self._aside.pop(number, (0, now))[0] + 1
            LOG.error("the bus refuses %s, try %d: %s", event, tries, reason)
            REFUSED.labels("set aside" if tries < TRIES else "died").inc()
            if tries < TRIES:
                # The bus may just be slow: what it did not answer keeps its place for three attempts.
                pause = growing(tries - 3 if number in unanswered else tries, LONGEST_ASIDE)
                self._aside[number] = tries, now + pause
            else:
                await deadletters.bury_unsent(self._db, number, reason, tries)

    async def _publish(self, events: Sequence[Record]) -> list[int]:
        """Send all, then wait for all answers: the numbers that are stored for good."""
        if not self._bus.is_connected:
            raise NotAcknowledged
        if not self._inbox:
            inbox = self._bus.new_inbox()
            await self._bus.subscribe(f"{inbox}.*", cb=self._answer)
            self._inbox = inbox
        self._awaited = {event["number"]: event["subject"].rpartition(".")[0] for event in events}
        self._acknowledged = []
        self._answered.clear()
        for event in events:
            headers = {"Nats-Msg-Id": str(event["id"])}
            if event["traceparent"]:
                headers["traceparent"] = event["traceparent"]
            reply = f"{self._inbox}.{event['number']}"
            try:
                await self._bus.publish(event["subject"], event["payload"], reply, headers)
            except MaxPayloadError:
                self._ended(event["number"], "larger than the bus takes")
        try:
            async with asyncio.timeout(ANSWER):
                await self._answered.wait()
        except TimeoutError as error:
            LOG.warning("%d events were not acknowledged", len(self._awaited))
            if not self._acknowledged:
                raise NotAcknowledged from error
        return self._acknowledged

    async def _answer(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        if number not in self._awaited:
            return  # of a batch that was given up
        if message.data.startswith(b'{"stream"'):
            self._ended(number)
        elif message.data:
            self._ended(number, json.loads(message.data)["error"]["description"])
        else:
            self._ended(number, "no stream takes it")

    def _ended(self, number: int, refused: str = "") -> None:
        event = self._awaited.pop(number)
        if refused:
            self._refused[number] = event, refused
        else:
            self._acknowledged.append(number)
        if not self._awaited:
            self._answered.set()
