"""What the service holds is declared, its migrations say the same, and whom it knows it knows from events."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from crafiq.identity.v1 import events_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.consumers import Subscription
from chassis.service import Service
from deploy.local.infra import Infra
from promises.inventory import check
from services.generation.consumers import Consumers
from services.generation.domain import Row
from tests.integration.generation.world import World
from tests.support import eventually
from tools.migration import drift, folder_of


@pytest.mark.promise("2-inventory")
def test_every_column_is_declared() -> None:
    assert check(Row.metadata) == []


async def test_the_migrations_make_what_the_rows_say(infra: Infra) -> None:
    assert await drift(infra.postgres.admin_dsn, Row.metadata, folder_of("generation")) == []


def verified(account: UUID) -> events_pb2.AccountVerified:
    at = Timestamp()
    at.GetCurrentTime()
    return events_pb2.AccountVerified(
        account=f"accounts/{account}", policy_version="1", terms_version="1", accepted_at=at
    )


async def test_an_account_begins_with_its_event_and_once_only(generation: World, service: Service) -> None:
    account = uuid4()
    consumers = Consumers()
    handle = consumers.on_account_verified
    assert Subscription("identity", events_pb2.AccountVerified, handle) in consumers.subscriptions()
    for _ in range(2):
        async with service.db.transaction() as tx:
            await handle(tx, verified(account))
    rows = await generation.sql("SELECT since FROM subjects WHERE account = $1", account)
    assert len(rows) == 1


async def test_an_account_that_identity_announced_may_order(generation: World, service: Service) -> None:
    async with generation.person() as person:
        await generation.sql("DELETE FROM subjects WHERE account = $1", person.id)
        await generation.publish("identity", verified(person.id))
        heard = "SELECT 1 FROM inbox WHERE key = $1"
        assert len(await eventually(lambda: generation.sql(heard, f"verified:{person.id}"))) == 1
        order = await person.order(f"a brass key {uuid4()}")
        assert (await person.ended(order.name)).name == order.name
