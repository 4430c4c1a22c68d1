"""The listener for revoked sessions ends when it is told to, whatever its connection says."""

from __future__ import annotations

import asyncio

from chassis.clock import Clock
from chassis.events import connect
from chassis.revoked import RevokedSessions
from chassis.rpc.tokens import Revocations
from deploy.local.infra import Infra


async def test_a_listener_that_is_cancelled_while_its_connection_closes_ends(infra: Infra) -> None:
    clock = Clock()
    bus = await connect(infra.nats.url, "billing", infra.nats.password("billing"), infra.tls_dir("billing"))
    listening = asyncio.create_task(RevokedSessions(bus, Revocations(clock), clock).run())
    await asyncio.sleep(0.3)
    closing = asyncio.create_task(bus.close())
    while not bus.is_closed:
        await asyncio.sleep(0)
    listening.cancel()
    done, _ = await asyncio.wait([listening], timeout=5)
    await closing
    assert done == {listening}
    assert listening.cancelled()
