"""A process to be killed: does one thing, says so on its standard output, and waits for the end.

python -m tests.integration.chassis_data.victim commit|publish|handle DATABASE NATS ACCOUNT
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from crafiq.identity.v1.events_pb2 import SessionRevoked

from chassis import events
from chassis.clock import Clock
from chassis.consumers import Consumers, Subscription
from chassis.db import Database
from chassis.relay import Relay
from tests.integration.chassis_data.test_relay import revoked
from tests.integration.chassis_data.test_statements import a_note


async def wait_for_the_end(said: str) -> None:
    print(said, flush=True)
    await asyncio.Event().wait()


class Interrupted(Relay):
    """Publishes, hears the acknowledgements, and never comes to the deletion."""

    async def _publish(self, events: Sequence[Any]) -> list[int]:
        await super()._publish(events)
        await wait_for_the_end("published")
        return []


async def main(what: str, database: str, bus_url: str, account: UUID) -> None:
    async with Database.open(database, clock=Clock(), new_id=uuid4, request_key=b"k" * 32) as db:
        if what == "commit":
            async with db.transaction() as tx:
                await tx.insert(a_note(account))
                tx.emit(revoked(account, "of a victim"))
            await wait_for_the_end("committed")
        bus = await events.connect(bus_url, "library", "", None)
        if what == "handle":
            subscription = Subscription("identity", SessionRevoked, lambda *_: wait_for_the_end("taken"))
            await Consumers("library", db, bus, [subscription]).run()
        await Interrupted(db, bus).flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], UUID(sys.argv[4])))  # type: ignore[misc]  # four arguments
