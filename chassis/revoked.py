"""Sessions and accounts that ended before their tokens: every process hears of them, each on its own."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crafiq.identity.v1.events_pb2 import AccountDeleted, SessionRevoked
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as BusError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from sqlalchemy import text

from chassis.db import Database, Statement, scalar
from chassis.errors import Refusal
from chassis.events import account_of, stream_of
from chassis.rpc.tokens import CLOCKS_DIFFER, LONGEST_LIFE, Revocations

LOG = logging.getLogger("crafiq.revoked")
EVENTS = (SessionRevoked, AccountDeleted)
SUBJECTS = [f"{event.DESCRIPTOR.full_name}.*" for event in EVENTS]
BACK = LONGEST_LIFE + timedelta(minutes=1)
HEARTBEAT, SILENCE = 1.0, 3.0  # seconds: how often the bus says that there is nothing, and how long we trust
PAUSE = 0.5  # seconds

_ERASED = Statement(text("SELECT account FROM tombstones WHERE erased_at > :since"), scalar)


class RevokedSessions:
    """Feeds `revocations` from identity's SessionRevoked and AccountDeleted.

    Not a durable consumer: those share messages between the processes of a service, and each of these
    has to hear all. Whenever something may have been missed, it begins anew with the last six minutes;
    what was announced earlier concerns no token that is still alive. Of those who were erased meanwhile
    nothing may be left on the bus: their tombstones are in `db`.
    """

    def __init__(self, bus: Client, db: Database, revocations: Revocations) -> None:
        self._bus, self._db, self._revocations = bus, db, revocations

    async def run(self) -> None:
        """Listen until cancelled; outlives the bus's absence, in which tokens end by age."""
        while True:
            try:
                await self._listen()
            except (BusError, OSError, Refusal) as error:  # the bus, or the database
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # nats-py tells a reader that is cancelled on a closed connection about the connection.
                    raise asyncio.CancelledError from error
                LOG.info("revocations are not heard at the moment: %s", type(error).__name__)
            await asyncio.sleep(PAUSE)

    async def _listen(self) -> None:
        """Until something may have been missed: a new connection, silence, or a message that was lost."""
        connection, heard = self._bus.stats["reconnects"], 0
        inbox = await self._bus.subscribe(self._bus.new_inbox())
        try:
            await self._bus.jetstream(timeout=2).add_consumer(stream_of("identity"), _consumer(inbox.subject))
            for account in await self._db.all(_ERASED, since=self._db.clock.now() - BACK):
                self._revocations.add_account(account, self._until())
            while self._bus.stats["reconnects"] == connection:
                message = await inbox.next_msg(timeout=SILENCE)
                delivered = (message.headers or {}).get("Nats-Last-Consumer")
                if delivered is None:
                    heard += 1
                    self._end(message)
                elif int(delivered) != heard:
                    return
        finally:
            if not self._bus.is_closed:
                await inbox.unsubscribe()

    def _end(self, message: Msg) -> None:
        try:
            if message.subject.startswith(AccountDeleted.DESCRIPTOR.full_name):
                deleted = account_of(AccountDeleted.FromString(message.data))
                return self._revocations.add_account(deleted, self._until())
            session = UUID(SessionRevoked.FromString(message.data).session.removeprefix("sessions/"))
            return self._revocations.add(session, self._until())
        except (DecodeError, ValueError):
            LOG.exception("a revocation can't be read")

    def _until(self) -> datetime:
        return self._db.clock.now() + LONGEST_LIFE + CLOCKS_DIFFER


def _consumer(inbox: str) -> ConsumerConfig:
    # Without a name, and with its messages pushed into our own inbox: that is what our user may make.
    return ConsumerConfig(
        deliver_subject=inbox,
        filter_subjects=SUBJECTS,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        # The bus's own stamps are meant, so the wall clock it is, whatever the service's clock says.
        opt_start_time=datetime.now(UTC) - BACK,
        ack_policy=AckPolicy.NONE,
        idle_heartbeat=HEARTBEAT,
        inactive_threshold=2 * SILENCE,
        mem_storage=True,
    )
