"""Billing on real servers, its database seen from outside, and people with credits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.identity.v1 import events_pb2

from chassis.service import Service
from deploy.local.infra import Infra
from services.billing.__main__ import Settings, compose
from services.billing.domain import Row
from services.billing.repository import Ledger
from tests.integration.billing.generation import GenerationPlayed, played_generation
from tests.integration.billing.till import KEY, Bank, stripe_sandbox
from tests.integration.billing.webhooks import SECRET
from tests.integration.in_process import Neighbours, in_process, settings_for
from tests.support import FakeClock, eventually

GRANT = 100
LIFETIME = timedelta(days=365)
"""Of holds that no test wants to grow stale."""
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
People = Callable[[], Awaitable[UUID]]


@pytest.fixture(scope="session")
async def generation_played(infra: Infra) -> AsyncIterator[GenerationPlayed]:
    """Generation as the tests play it."""
    async with played_generation(infra.tls_dir("generation")) as played:
        yield played


@pytest.fixture(scope="session")
async def bank() -> AsyncIterator[Bank]:
    """Stripe, as the running service knows it."""
    async with stripe_sandbox(lambda: datetime.now(UTC)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def billing(infra: Infra, generation_played: GenerationPlayed, bank: Bank) -> AsyncIterator[Neighbours]:
    """Billing, and those around it."""
    told = settings_for(infra, "billing", generation=generation_played.address)
    settings = Settings(**told, stripe_url=bank.url, stripe_api_key=KEY, stripe_webhook_secret=SECRET)
    async with AsyncExitStack() as stack:

        async def wire(service: Service) -> None:
            await stack.enter_async_context(compose(service, settings))

        async with in_process(infra, settings, "billing", Row.metadata, wire) as neighbours:
            yield neighbours


@pytest.fixture(scope="session")
async def person_calls(billing: Neighbours) -> BillingServiceStub:
    """Billing as the gateway sees it."""
    return BillingServiceStub(await billing.channel("gateway"))


@pytest.fixture(scope="session")
async def generation_calls(billing: Neighbours) -> BillingServiceStub:
    """Billing as generation sees it."""
    return BillingServiceStub(await billing.channel("generation"))


@pytest.fixture(scope="session")
def ledger(billing: Neighbours) -> Ledger:
    """The repository itself."""
    return Ledger(billing.service.db)


@pytest.fixture(scope="session")
def unbounded(billing: Neighbours) -> Ledger:
    """The repository as many processes at once would use it: without the queue for one person."""
    return Ledger(billing.service.db, turns=10**6)


@pytest.fixture
def clock(billing: Neighbours) -> FakeClock:
    """The time in billing."""
    found = billing.service.clock
    assert isinstance(found, FakeClock)
    return found


@pytest.fixture
async def sql(billing: Neighbours) -> AsyncIterator[Sql]:
    """Billing's database, as billing's own role."""
    connection = await asyncpg.connect(billing.infra.postgres.dsn("billing"))
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def new_person(billing: Neighbours) -> People:
    """Makes people who confirmed their address and have the first credits."""

    async def make() -> UUID:
        account = uuid4()
        await billing.announce("identity", verified(account))
        ledger = Ledger(billing.service.db)

        async def has_wallet() -> bool:
            return await ledger.book(account) is not None

        await eventually(has_wallet)
        return account

    return make


@pytest.fixture
async def person(new_person: People) -> UUID:
    """Somebody with the first credits."""
    return await new_person()


def verified(account: UUID) -> events_pb2.AccountVerified:
    """What identity announces of a new person."""
    event = events_pb2.AccountVerified(
        account=f"accounts/{account}", policy_version="2025-10-29", terms_version="2025-10-29"
    )
    event.accepted_at.FromJsonString("2026-01-01T11:00:00Z")
    return event


async def erase(sql: Sql, account: UUID) -> None:
    """What erasing a person does to billing's database, in one transaction."""
    async with sql.transaction():
        await sql.execute("INSERT INTO tombstones (account, erased_at) VALUES ($1, now())", account)
        await sql.execute("DELETE FROM subjects WHERE account = $1", account)
