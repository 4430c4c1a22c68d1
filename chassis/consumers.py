"""Durable consumers: batches, each effect committed once, with the claim of the message's id.

def subscriptions(self) -> list[Subscription]:
    return [Subscription("identity", events_pb2.AccountVerified, self.on_account_verified)]

async def on_account_verified(self, tx: Transaction, event: events_pb2.AccountVerified) -> None: ...
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import Counter as Metric
from prometheus_client import Gauge
from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from chassis import deadletters, telemetry
from chassis.db import Database, DatabaseUnavailable, Statement, Transaction, scalar
from chassis.deadletters import DeadLetter
from chassis.errors import Refusal, SubjectUnknown
from chassis.pulls import Pull
from chassis.retry import growing

LOG = logging.getLogger("crafiq.consumers")
CONSUMED = Metric("crafiq_consumed_events", "Messages, by what became of them.", ["event", "outcome"])
DEAD = Gauge("crafiq_dead_letters", "Messages that could not be handled or sent, and wait for somebody.")
BATCH = 100
TRIES = 10
PASSING = {"UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
LONGEST_PAUSE = 60.0  # seconds
LONGEST_AWAY = 600.0  # seconds, of what waits for a process that handles it
REPLAY_POLL = 2.0  # seconds

_CLAIM_ALL = Statement(
    text(
        "INSERT INTO inbox (key, claimed)"
        " SELECT DISTINCT key, CAST(:at AS timestamptz) FROM unnest(:keys) AS key"
        # In one order, or two processes that were given the same messages lock each other out.
        " ORDER BY key ON CONFLICT DO NOTHING RETURNING key"
    ).bindparams(bindparam("keys", type_=ARRAY(Text))),
    scalar,
)


class HandlerMissing(Exception):
    """The event of a dead letter that is to be replayed is not handled by this process."""


@dataclass(frozen=True)
class Subscription:
    """When service `source` announces `event`, run `handle` in a transaction, once.

    `handle` may be run again after a failure whose transaction was rolled back; it does no I/O of its own.
    A Refusal that asking again can't change makes a dead letter; anything else is tried again,
    later and later, ten times in all. Where twice is `harmless`, nobody notes that it was handled, and
    `handle` may be given None as its transaction.

    The first process that subscribes to an event is given what the stream has of it, seven days. To stop
    listening, leave the `handle` out for one deploy: that takes the event from what the bus keeps for this
    service (an older process that comes back puts it back, from the beginning). A line that is only deleted
    leaves messages that nobody handles; they go back again and again until their stream ends them.
    """

    source: str
    event: type[Message]
    handle: Callable[[Any, Any], Awaitable[None]] | None = None
    harmless: bool = False

    @property
    def name(self) -> str:
        """The event's full name; its subject on the bus without the account."""
        return str(self.event.DESCRIPTOR.full_name)


class Consumers:
    """The durable consumers of one service, one for each source."""

    def __init__(
        self, service: str, db: Database, bus: Client, subscriptions: Sequence[Subscription]
    ) -> None:
        self._service, self._db, self._bus = service, db, bus
        self._subscriptions = subscriptions
        self._handlers = {s.name: (s.event, s.handle) for s in subscriptions if s.handle is not None}
        self._harmless = {s.name for s in subscriptions if s.harmless}
        if len({s.name for s in subscriptions}) < len(subscriptions):
            raise TypeError("An event has one handler in a service.")
        self._failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Consume until cancelled; a batch in hand is finished first (5 s). Waits for missing streams."""
        async with asyncio.TaskGroup() as group:
            for source in sorted({s.source for s in self._subscriptions}):
                group.create_task(self._consume(source))
            group.create_task(self._replay())

    async def _consume(self, source: str) -> None:
        ours = [s for s in self._subscriptions if s.source == source]
        subjects = {f"{s.name}.*": s.handle is not None for s in ours}
        async with Pull(self._bus, self._db, source, self._service, subjects) as pull:
            while True:
                messages = await pull.take(BATCH)
                in_hand = asyncio.create_task(self._handle(messages))
                try:
                    await asyncio.shield(in_hand)
                except asyncio.CancelledError:
                    await asyncio.wait([in_hand], timeout=5)
                    in_hand.cancel()
                    raise
                except Exception as error:  # they come again by themselves
                    LOG.warning("a batch could not be handled", exc_info=error)
                    await asyncio.sleep(1)

    async def _handle(self, messages: Sequence[Msg]) -> None:
        """All that are handled here in one transaction; if that fails, each in its own."""
        messages, pause = [message for message in messages if await self._ours(message)], 0.1
        while True:
            try:
                outcomes = await self._commit(messages)
                break
            except DatabaseUnavailable:  # no fault of the messages: hold them until it is back
                await asyncio.gather(*(message.in_progress() for message in messages))
                await asyncio.sleep(pause := min(2 * pause, 2.0))
            except Exception as error:
                if len(messages) == 1:
                    await self._failed(messages[0], error)
                    return
                for message in messages:
                    await self._handle([message])
                return
        for message, outcome in zip(messages, outcomes, strict=True):
            CONSUMED.labels(_event(message.subject), outcome).inc()
            self._failures.pop(_id(message), None)
            await message.ack()

    async def _ours(self, message: Msg) -> bool:
        """Whether it is handled here. What other code of this service is to handle goes back, unclaimed."""
        if (name := _event(message.subject)) in self._handlers:
            return True
        CONSUMED.labels(name, "unknown").inc()
        await message.nak(delay=growing(message.metadata.num_delivered, LONGEST_AWAY))
        return False

    async def _commit(self, messages: Sequence[Msg]) -> list[str]:
        outcomes, once = [], [_id(each) for each in messages if _event(each.subject) not in self._harmless]
        async with self._db.transaction() if once else nullcontext() as tx:
            fresh = set(await tx.all(_CLAIM_ALL, keys=once, at=self._db.clock.now()) if tx else ())
            for message in messages:
                again = _id(message) not in fresh and _event(message.subject) not in self._harmless
                outcomes.append("repeated" if again else "handled")
                if not again:
                    fresh.discard(_id(message))
                    trace = (message.headers or {}).get("traceparent", "")
                    await self._run(tx, message.subject, message.data, trace)
        return outcomes

    async def _run(self, tx: Transaction | None, subject: str, payload: bytes, trace: str) -> None:
        if (name := _event(subject)) not in self._handlers:
            raise HandlerMissing
        event, handle = self._handlers[name]
        with telemetry.span(f"consume {name}", parent=trace):
            await handle(tx, event.FromString(payload))

    async def _failed(self, message: Msg, error: Exception) -> None:
        name, key = _event(message.subject), _id(message)
        account = UUID(message.subject.rpartition(".")[2])
        if isinstance(error, SubjectUnknown) and await self._db.erased(account):
            CONSUMED.labels(name, "erased").inc()
            return await message.term()
        # Counted here and not by the bus, whose count goes on while a database is down.
        self._failures[key] += 1
        tries = self._failures[key]
        LOG.warning("%s failed, try %d: %s", name, tries, _reason(error), exc_info=error)
        if tries < TRIES and not _final(error):
            CONSUMED.labels(name, "retried").inc()
            return await message.nak(delay=growing(tries, LONGEST_PAUSE))
        CONSUMED.labels(name, "died").inc()
        died = self._db.clock.now()
        letter = DeadLetter(key, message.subject, message.data, _reason(error), tries, died)
        await deadletters.bury(self._db, letter)
        del self._failures[key]
        return await message.term()

    async def _replay(self) -> None:
        while True:
            try:
                while await self._replay_one():
                    pass
                DEAD.set(await self._db.one(deadletters.HOW_MANY))
            except Exception as error:
                LOG.warning("dead letters can't be replayed", exc_info=error)
            await asyncio.sleep(REPLAY_POLL)

    async def _replay_one(self) -> bool:
        letter = None
        try:
            async with self._db.transaction() as tx:
                letter = await deadletters.asked_for(tx)
                if letter is None:
                    return False
                if letter.unsent:
                    await deadletters.send(tx, letter)
                elif await tx.claim(letter.message_id):
                    await self._run(tx, letter.subject, letter.payload, "")
                await deadletters.dismiss(tx, letter)
        except Exception as error:
            if letter is None:
                raise
            await deadletters.bury(self._db, replace(letter, reason=_reason(error)))
        return True


def _event(subject: str) -> str:
    """The event's full name: the subject without the account."""
    return subject.rpartition(".")[0]


def _id(message: Msg) -> str:
    """What the relay called it; what somebody else published is known by its place in the stream."""
    given = (message.headers or {}).get("Nats-Msg-Id")
    return given or f"{message.metadata.stream}:{message.metadata.sequence.stream}"


def _final(error: Exception) -> bool:
    return isinstance(error, DecodeError) or (isinstance(error, Refusal) and error.status not in PASSING)


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, Refusal) else type(error).__name__
