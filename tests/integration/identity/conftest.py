"""Identity and privacy served in this process, on real servers, with a mailbox that can be read."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from crafiq.identity.v1 import identity_pb2_grpc

from chassis.service import Service
from deploy.local.infra import Infra
from sandbox.faults import FaultPlan
from sandbox.smtp.inbox import Inbox
from sandbox.smtp.server import KINDS, listen
from services.identity.__main__ import compose
from services.identity.adapters.peppers import Peppers
from services.identity.adapters.signing import SigningKeys
from services.identity.domain import Row
from services.identity.settings import Settings
from services.privacy.__main__ import Settings as PrivacySettings
from services.privacy.__main__ import compose as compose_privacy
from services.privacy.adapters import ReceiptKeys
from services.privacy.domain import Row as PrivacyRow
from tests.integration.identity.people import Mailbox, People
from tests.integration.in_process import Unhurried, ledger_of
from tests.personal import keep
from tests.support import Announced, FakeClock, calling, free_port, running, signing_key


def settings_for(infra: Infra, service: str, **more: object) -> dict[str, object]:
    """What the launcher tells every service."""
    return {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "tls_dir": infra.tls_dir(service),
        "nats_url": infra.nats.url,
        "database_url": infra.postgres.dsn(service),
        "nats_password": infra.nats.password(service),
        "request_key": secrets.token_hex(32),
        **ledger_of(infra, service),
        **more,
    }


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
async def mailbox() -> AsyncIterator[Mailbox]:
    clock = FakeClock()
    inbox, plan = Inbox(clock.now), FaultPlan(KINDS)
    server = await listen(inbox, plan, "127.0.0.1", 0, None)
    yield Mailbox(inbox, plan, server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


@pytest.fixture(scope="session")
def addresses() -> dict[str, str]:
    """Where identity and privacy find each other, and privacy itself."""
    return {name: f"127.0.0.1:{free_port()}" for name in ("identity", "privacy")}


@asynccontextmanager
async def serving_privacy(infra: Infra, clock: FakeClock, folder: Path, **more: object) -> AsyncIterator[str]:
    """Privacy in this process; yields its address."""
    settings = PrivacySettings(**settings_for(infra, "privacy", **more))
    keys = ReceiptKeys(signing_key(folder, "first").parent)
    async with Unhurried("privacy", settings, metadata=PrivacyRow.metadata, clock=clock) as service:
        await compose_privacy(service, settings, keys)
        async with running(service) as address:
            yield address


@pytest.fixture(scope="session")
async def privacy(
    infra: Infra, clock: FakeClock, addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    folder, known = tmp_path_factory.mktemp("receipts"), {"peers": addresses, "listen": addresses["privacy"]}
    async with serving_privacy(infra, clock, folder, **known) as address:
        yield address


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("traces") / "identity.jsonl"
    yield file
    keep([file])


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> SigningKeys:
    folder = tmp_path_factory.mktemp("signing")
    signing_key(folder, "first")
    return SigningKeys(folder, clock)


@pytest.fixture(scope="session")
def peppers(traces: Path, clock: FakeClock) -> Peppers:
    return Peppers(traces.parent, clock, secrets.token_bytes)


@pytest.fixture(scope="session")
async def identity(  # noqa: PLR0917
    infra: Infra,
    clock: FakeClock,
    keys: SigningKeys,
    mailbox: Mailbox,
    privacy: str,
    addresses: dict[str, str],
    traces: Path,
) -> AsyncIterator[Service]:
    settings = Settings(
        **settings_for(
            infra,
            "identity",
            listen=addresses["identity"],
            peers={"privacy": privacy},
            smtp_host="127.0.0.1",
            smtp_port=mailbox.port,
            trace_file=traces,
            trace_ratio=1.0,
            token_key=secrets.token_hex(32),
            pepper_dir=traces.parent,
        )
    )
    async with Unhurried("identity", settings, metadata=Row.metadata, clock=clock, jwks=keys.jwks) as service:
        compose(service, settings, keys)
        async with running(service) as service.address:
            yield service


@pytest.fixture(scope="session")
async def stub(identity: Service, infra: Infra) -> AsyncIterator[identity_pb2_grpc.IdentityServiceStub]:
    async with calling(identity.address, infra.tls_dir("gateway"), to="identity") as channel:
        yield identity_pb2_grpc.IdentityServiceStub(channel)


@pytest.fixture(scope="session")
def people(stub: identity_pb2_grpc.IdentityServiceStub, mailbox: Mailbox, identity: Service) -> People:
    return People(stub, mailbox, identity.db)


@pytest.fixture(scope="session")
async def announced(infra: Infra) -> AsyncIterator[Announced]:
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    yield Announced(bus)
    await bus.close()
