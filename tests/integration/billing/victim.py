"""A process to be killed while Stripe lets it wait.

python -m tests.integration.billing.victim make|erase DATABASE STRIPE ACCOUNT ERASURE
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID, uuid4

from crafiq.billing.v1.events_pb2 import AccountErased
from pydantic import SecretStr

from chassis.clock import Clock
from chassis.db import Database
from promises.eraser import Eraser
from promises.erasing import Erasing, Wanted
from services.billing.adapters.stripe import stripe_at
from services.billing.domain import Row
from services.billing.jobs import Payments
from services.billing.repository import Customers
from tests.integration.billing.till import KEY


async def main(what: str, database: str, url: str, account: UUID, erasure: UUID) -> None:
    opened = Database.open(database, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(1, 2))
    async with opened as db, stripe_at(url, SecretStr(KEY), 60) as stripe:
        payments = Payments(Customers(db), stripe)
        if what == "make":
            await payments.customer_for(account)
        else:
            eraser = Eraser(db, Erasing(Row.metadata, [payments]), AccountErased)
            wanted = Wanted(account, erasure, db.clock.now())
            async with db.transaction() as tx:
                await eraser.ask(tx, wanted)
            await eraser.through(wanted)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(UUID, sys.argv[4:6])))  # type: ignore[misc]  # five arguments
