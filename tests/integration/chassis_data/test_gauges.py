"""What alerts look at: gauges that stop when something waits, and say how much is left to somebody."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import pytest
from crafiq.generation.v1 import events_pb2 as generation_events
from google.protobuf.message import Message
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, Gauge

from chassis import consumers, pulls, relay
from chassis.consumers import Subscription
from chassis.db import Database, Transaction
from chassis.deadletters import replay
from chassis.relay import Relay
from tests.integration.chassis_data.conftest import Bus
from tests.integration.chassis_data.test_consumers import (
    NoSuchThing,
    SessionRevoked,
    consuming,
    publish,
    revoked,
)
from tests.integration.chassis_data.test_relay import announce, running
from tests.support import eventually


class Gauges:
    """Those of what a test makes: other services may run in this process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._seen = CollectorRegistry()
        patch.setattr(relay, "CAUGHT_UP", Gauge("relay", "", registry=self._seen))
        patch.setattr(pulls, "CAUGHT_UP", Gauge("consumer", "", ["stream"], registry=self._seen))
        patch.setattr(consumers, "DEAD", Gauge("dead", "", registry=self._seen))

    def says(self, name: str, **labels: str) -> float:
        return self._seen.get_sample_value(name, labels) or 0.0

    async def moves(self, name: str, **labels: str) -> None:
        """Within seconds it says a time after now."""
        now = time.time()
        await eventually(lambda: self.says(name, **labels) > now)

    async def identity_stands(self) -> bool:
        """The consumer of identity's events says the same while that of generation's goes on twice."""
        before = self.says("consumer", stream="IDENTITY")
        for _ in range(2):
            await self.moves("consumer", stream="GENERATION")
        return self.says("consumer", stream="IDENTITY") == before


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> Gauges:
    return Gauges(monkeypatch)


async def nothing(_tx: Transaction, _event: Message) -> None: ...


ANOTHER = Subscription("generation", generation_events.GenerationFailed, nothing)


async def test_the_relay_is_caught_up_while_nothing_waits_and_not_while_the_bus_is_away(
    db: Database,
    bus: Client,
    bus_server: Bus,
    account: UUID,
    gauges: Gauges,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Relay(db, bus)):
        await gauges.moves("relay")
        await bus_server.kill()
        await announce(db, revoked(account))
        await eventually(lambda: "nothing can be relayed" in caplog.text)
        before = gauges.says("relay")
        await eventually(lambda: caplog.text.count("nothing can be relayed") > 3)
        assert gauges.says("relay") == before
        await bus_server.start()
        await gauges.moves("relay")


async def test_a_consumer_is_caught_up_while_nothing_waits_and_not_while_one_is_stuck(
    db: Database, bus: Client, account: UUID, gauges: Gauges
) -> None:
    stuck, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_tx: Transaction, _event: SessionRevoked) -> None:
        stuck.set()
        await go_on.wait()

    async with consuming(db, bus, slow, ANOTHER):
        await gauges.moves("consumer", stream="IDENTITY")
        await publish(bus, revoked(account))
        await stuck.wait()
        assert await gauges.identity_stands()
        go_on.set()
        await gauges.moves("consumer", stream="IDENTITY")


async def test_a_consumer_whose_stream_is_not_there_was_never_caught_up(
    db: Database, bus: Client, gauges: Gauges
) -> None:
    await bus.jetstream().delete_stream("IDENTITY")
    async with consuming(db, bus, nothing, ANOTHER):
        assert await gauges.identity_stands()


async def test_dead_letters_are_counted_until_somebody_sees_to_them(
    db: Database, bus: Client, account: UUID, gauges: Gauges
) -> None:
    broken = True

    async def handle(_tx: Transaction, _event: SessionRevoked) -> None:
        if broken:
            raise NoSuchThing

    async with consuming(db, bus, handle):
        message_id = await publish(bus, revoked(account))
        await eventually(lambda: gauges.says("dead") == 1)
        broken = False
        await replay(db, message_id)
        await eventually(lambda: gauges.says("dead") == 0)
