"""One service announces and another hears of it, each as its own user of the bus, over TLS."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
from crafiq.identity.v1 import events_pb2

from chassis import events
from chassis.consumers import Subscription
from chassis.db import Database, Transaction
from chassis.relay import Relay
from deploy.local.infra import Infra
from tests.integration.chassis_data.test_consumers import COUNT, consuming, tally
from tests.integration.chassis_data.test_relay import announce, revoked
from tests.integration.chassis_data.test_rolling_deploys import NEW, VERIFIED, listens_to, running
from tests.support import eventually


async def test_identity_announces_and_privacy_hears(
    infra: Infra, db: Database, sql: asyncpg.Connection, account: UUID
) -> None:
    nats = infra.nats
    speaking = await events.connect(
        nats.url, "identity", nats.password("identity"), infra.tls_dir("identity")
    )
    hearing = await events.connect(nats.url, "privacy", nats.password("privacy"), infra.tls_dir("privacy"))

    async def only_ours(tx: Transaction, event: events_pb2.SessionRevoked) -> None:
        if event.account == f"accounts/{account}":
            await tx.execute(COUNT, which=event.session)

    event = revoked(account)
    async with consuming(db, hearing, only_ours, durable="privacy"):
        await announce(db, event)
        assert await asyncio.wait_for(Relay(db, speaking).flush(), 10) == 1
        await eventually(lambda: tally(sql, event.session))
    # What it listens to is its own to change.
    retired = Subscription("identity", events_pb2.SessionRevoked)
    async with running("privacy", db, hearing, retired, NEW):
        await eventually(lambda: listens_to(hearing, VERIFIED, durable="privacy"))
    await hearing.jetstream().delete_consumer("IDENTITY", "privacy")
    await speaking.close()
    await hearing.close()
