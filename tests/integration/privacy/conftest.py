"""Privacy on real servers, and people who agreed to something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg
import nats
import pytest
from crafiq.identity.v1 import events_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

import services.privacy.adapters.holders
from chassis.service import Service
from deploy.local.infra import Infra
from services.privacy.__main__ import Settings, compose
from services.privacy.adapters import ReceiptKeys
from services.privacy.consumers import Consumers
from services.privacy.domain import Row
from services.privacy.repository import Acceptances, Documents
from tests.integration.in_process import Neighbours, in_process, settings_for
from tests.support import Announced, signing_key

VERSION = "2025-10-29"
ACCEPTED_AT = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="session")
async def privacy(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Neighbours]:
    """Privacy, and those around it."""
    settings = Settings(**settings_for(infra, "privacy"))
    keys = ReceiptKeys(signing_key(tmp_path_factory.mktemp("receipts"), "first").parent)

    async def wire(service: Service) -> None:
        await compose(service, settings, keys)

    async with in_process(infra, settings, "privacy", Row.metadata, wire) as neighbours:
        yield neighbours


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is well is not taken for silent because the machine stood still."""
    for patience in ("PATIENCE", "LOOKING"):
        monkeypatch.setattr(services.privacy.adapters.holders, patience, 20.0)


@pytest.fixture(scope="session")
async def calls(privacy: Neighbours) -> PrivacyServiceStub:
    """Privacy as the gateway sees it."""
    return PrivacyServiceStub(await privacy.channel("gateway"))


@pytest.fixture(scope="session")
async def announced(infra: Infra) -> AsyncIterator[Announced]:
    """What the bus holds."""
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    yield Announced(bus)
    await bus.close()


@pytest.fixture
async def sql(privacy: Neighbours) -> AsyncIterator[Sql]:
    """Privacy's database, as privacy's own role."""
    connection = await asyncpg.connect(privacy.infra.postgres.dsn("privacy"))
    yield connection
    await connection.close()


def listening(privacy: Neighbours) -> Consumers:
    """What it listens with, for who tells it something without the bus."""
    db = privacy.service.db
    return Consumers(Documents(db), Acceptances(db), privacy.service.new_id, lambda *_: None)


def verified(account: UUID, policy: str = VERSION, terms: str = VERSION) -> events_pb2.AccountVerified:
    """What identity announces of a new person."""
    event = events_pb2.AccountVerified(
        account=f"accounts/{account}", policy_version=policy, terms_version=terms
    )
    event.accepted_at.FromDatetime(ACCEPTED_AT)
    return event
