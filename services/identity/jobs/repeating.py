"""What a stream that the bus lost had of new people is said again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from crafiq.identity.v1.events_pb2 import AccountVerified
from nats.aio.client import Client
from prometheus_client import Counter

from chassis.db import Database, Transaction
from chassis.events import stream_of
from chassis.jobs import Job
from services.identity.domain.accounts import Account
from services.identity.repository import accounts

REPEATED = Counter("crafiq_identity_repeated_announcements", "New people who were announced once more.")
EVERY = timedelta(seconds=15)
UNHEARD = timedelta(minutes=15)
"""How long somebody may have stood in a stream, or in the outbox, without having been heard of everywhere."""
PATIENCE = 2.0  # seconds
Announced = Callable[[Transaction, Account], Awaitable[AccountVerified]]


class Repeating:
    """Asks the bus since when identity's stream exists: one that began anew lost whom nobody had heard of.

    NATS may drop a stream when it is killed twice in a row; whoever starts it makes it again, empty. Of what
    else identity announces, privacy asks by itself what became of a deletion, and a session's end concerns
    nobody after five minutes. Hearing of somebody twice changes nothing. `announced` makes the event of an
    account that `tx` has locked.
    """

    def __init__(self, db: Database, bus: Client, announced: Announced) -> None:
        self._db, self._bus, self._announced = db, bus, announced
        self._since: datetime | None = None

    def job(self) -> Job:
        """What the service does now and then."""
        return Job("announce-again", EVERY, self.run)

    async def run(self) -> int:
        """Announce again who may have been lost; answers how many. Raises what bus and database do."""
        info = await self._bus.jetstream(timeout=PATIENCE).stream_info(stream_of("identity"))
        began = info.created
        if began is None or began == self._since:
            return 0
        began, repeated = began.astimezone(UTC), 0
        for account in await accounts.verified_between(self._db, began - UNHEARD, began):
            async with self._db.transaction() as tx:
                living = await accounts.locked(tx, account)
                if living is not None:
                    tx.emit(await self._announced(tx, living))
                    repeated += 1
        self._since = info.created
        REPEATED.inc(repeated)
        return repeated
