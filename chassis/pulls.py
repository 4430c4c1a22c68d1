"""A durable pull consumer that hands over what is there, at once.

nats-py's `fetch(n)` holds the first message back until n are there or its time is over; here a request
for many stays open while what has arrived is handled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as BusError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError
from prometheus_client import Gauge
from sqlalchemy import text

from chassis.db import Database, Statement
from chassis.errors import Refusal
from chassis.events import stream_of

LOG = logging.getLogger("crafiq.consumers")
CAUGHT_UP = Gauge("crafiq_consumer_caught_up_timestamp_seconds", "When nothing waited.", ["stream"])
AHEAD = 200  # messages that may wait here
EXPIRES = 5  # seconds a request stays open
ORDINARY = ("404", "408")  # nothing there; time is over

_ALONE = Statement(text("SELECT pg_advisory_xact_lock(hashtext('crafiq.pulls'))"))


class Pull:
    """The consumer named `durable` of a source's stream, made if need be; `async with` ends it.

    `subjects` are those it is to have (True) and those it is to have no more (False). What was taken is
    acknowledged by whoever took it, within five seconds, or somebody else is given it as well.
    """

    def __init__(
        self, bus: Client, db: Database, source: str, durable: str, subjects: Mapping[str, bool]
    ) -> None:
        self._bus, self._db, self._stream, self._durable = bus, db, stream_of(source), durable
        self._subjects, self._ours = subjects, {subject for subject in subjects if subjects[subject]}
        self._waiting: deque[Msg] = deque()
        self._arrived = asyncio.Event()
        self._made, self._asked, self._open, self._until, self._connection = False, 0, 0, 0.0, 0
        self._behind, self._caught_up = 0, CAUGHT_UP.labels(self._stream)

    async def __aenter__(self) -> Self:
        self._inbox = self._bus.new_inbox()
        self._listening = await self._bus.subscribe(f"{self._inbox}.*", cb=self._hear)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not self._bus.is_closed:
            await self._listening.unsubscribe()
            for message in self._waiting:  # somebody else may have them at once
                await message.nak()

    async def take(self, most: int) -> list[Msg]:
        """What has arrived, in order; waits for the first. Outlives the stream's absence and the bus's."""
        while not self._waiting:
            # wait_for, by which nats-py asks, forgets a cancellation that comes together with the answer.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError
            lost = time.monotonic() > self._until or self._bus.stats["reconnects"] != self._connection
            if self._open <= 0 or lost:
                try:
                    await self._ask()
                except (BusError, OSError, Refusal) as error:  # the bus, its stream, or the database
                    LOG.info("waiting for stream %s: %s", self._stream, type(error).__name__)
                    await asyncio.sleep(1)
                    continue
            elif not self._behind:
                self._caught_up.set_to_current_time()
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    async def _ask(self) -> None:
        if not self._made:
            await self._make()
            self._made = True
        self._asked += 1
        self._open, self._until = AHEAD, time.monotonic() + EXPIRES + 1
        self._connection = self._bus.stats["reconnects"]
        request = json.dumps({"batch": AHEAD, "expires": EXPIRES * 10**9}).encode()
        api = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        if self._ours:
            await self._bus.publish(api, request, f"{self._inbox}.{self._asked}")

    async def _make(self) -> None:
        """See to it that the consumer has our subjects, beside those that other processes gave it.

        nats-server takes a given filter for the whole of it, and does not look back for a subject that is
        added. So one process of the service at a time adds to what is there, and what has changed begins
        anew with the stream: messages that were handled are known by their ids.
        """
        js = self._bus.jetstream(timeout=2)
        async with self._db.transaction() as tx:
            await tx.execute(_ALONE)
            try:
                made = await js.consumer_info(self._stream, self._durable)
                there = set(made.config.filter_subjects or ())
            except NotFoundError:
                there = set()
            filtered = there.difference(self._subjects) | self._ours
            if there and there != filtered:
                await js.delete_consumer(self._stream, self._durable)
            if filtered:  # without a filter it would get everything
                await js.add_consumer(self._stream, self._config(sorted(filtered)))
        if strange := filtered - self._ours:
            LOG.warning("%s also gets %s, which is not handled here", self._durable, sorted(strange))

    def _config(self, subjects: list[str]) -> ConsumerConfig:
        return ConsumerConfig(
            name=self._durable,
            durable_name=self._durable,
            filter_subjects=subjects,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=5,  # seconds; then what a killed process had in hand comes to another
            max_deliver=-1,
            # What goes back unhandled counts here too, and must not stop the rest; what a process has in
            # hand is bounded by what it asks for.
            max_ack_pending=100_000,
        )

    async def _hear(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            self._open -= 1
            self._behind = message.metadata.num_pending
            self._waiting.append(message)
        elif message.subject == f"{self._inbox}.{self._asked}":
            self._open = 0
            if status not in ORDINARY:  # the consumer or its stream is gone, or its leader
                self._made = False
                await asyncio.sleep(0.5)
        self._arrived.set()
