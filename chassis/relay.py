"""The relay: outbox rows to JetStream, in order, each until it is acknowledged."""

from __future__ import annotations

from nats.aio.client import Client

from chassis.db import Database


class Relay:
    """Publishes what is committed. Woken by commits of this process; polls for those of others.

    Several may run on one database: a row is in one relay's hands at a time. What was published but
    not deleted (a crash between) is published again under the same message id.
    """

    def __init__(self, db: Database, bus: Client) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Relay until cancelled; outlives outages of the database and of the bus."""
        raise NotImplementedError

    async def flush(self) -> int:
        """Publish what is there now; answers how many. Raises what stops it."""
        raise NotImplementedError
