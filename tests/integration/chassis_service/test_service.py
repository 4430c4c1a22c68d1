"""A service as a whole: composed, serving, observed, drained."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import grpc.aio
import pytest
from crafiq.billing.v1 import billing_pb2 as b
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.identity.v1 import events_pb2
from cryptography import x509
from sqlalchemy import func, select, table

from chassis.errors import SubjectUnknown
from chassis.jobs import Job
from chassis.rpc import Call, refusal_from
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.statements import Statement, scalar
from deploy.local.infra import Infra
from tests.integration.chassis_data.rows import Row
from tests.support import Tokens, calling, complete, eventually, running

MIGRATION = """
from alembic import op
from tests.integration.chassis_data.rows import Row
revision, down_revision = "0001", None
def upgrade():
    Row.metadata.create_all(op.get_bind())
"""
BILLING = b.DESCRIPTOR.services_by_name["BillingService"]
ANN = uuid4()
OUTBOX_ROWS = Statement(select(func.count()).select_from(table("outbox")), scalar)


class Billing:
    """A handler of some service; `slow` holds GetBalance until it is set."""

    def __init__(self, service: Service) -> None:
        self.service, self.begun, self.slow = service, asyncio.Event(), asyncio.Event()
        self.slow.set()

    async def GetBalance(self, _request: b.GetBalanceRequest, call: Call) -> b.Balance:
        self.begun.set()
        await self.slow.wait()
        async with self.service.db.transaction() as tx:
            tx.emit(events_pb2.AccountVerified(account=f"accounts/{call.account}"))
        return b.Balance(available=7)

    async def ListEntries(self, _request: b.ListEntriesRequest, call: Call) -> b.ListEntriesResponse:
        raise SubjectUnknown(call.account)


class Placed(Service):
    """A service whose migrations stand where the test put them."""

    folder: Path

    def _migrations(self) -> Path:
        return self.folder


@pytest.fixture
async def database_url(infra: Infra) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield re.sub(r"/[^/?]*\?", f"/{name}?", infra.postgres.admin_dsn, count=1)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def settings(infra: Infra, database_url: str, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        tls_dir=infra.tls_dir("identity"),
        nats_url=infra.nats.url,
        nats_password=infra.nats.password("identity"),
        database_url=database_url,
        request_key="5c" * 32,
        trace_file=tmp_path / "traces.jsonl",
        trace_ratio=1.0,
    )


@pytest.fixture
def placed(settings: ServiceSettings, tmp_path: Path) -> tuple[Placed, Tokens]:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_first.py").write_text(MIGRATION)
    tokens = Tokens()
    service = Placed("identity", settings, metadata=Row.metadata, jwks=tokens.jwks)
    service.folder = versions.parent
    return service, tokens


@asynccontextmanager
async def serving(placed: tuple[Placed, Tokens], infra: Infra) -> AsyncIterator[tuple[Billing, Any]]:
    """The service, serving; yields its handler and GetBalance as somebody who is signed in."""
    service, tokens = placed
    async with service:
        handler: Billing = complete(BILLING, Billing)(service)
        service.offer(BILLING, handler)
        async with (
            running(service) as address,
            calling(address, infra.tls_dir("gateway"), to="identity") as channel,
        ):
            stub = BillingServiceStub(channel)
            yield handler, lambda: stub.GetBalance(b.GetBalanceRequest(), metadata=tokens.metadata(ANN))


async def test_a_call_commits_and_what_it_announced_is_relayed(placed: Any, infra: Infra) -> None:
    async with serving(placed, infra) as (handler, get_balance):
        assert (await get_balance()).available == 7
        await eventually(lambda: _left(handler.service))


async def _left(service: Service) -> bool:
    return await service.db.all(OUTBOX_ROWS) == [0]


async def test_what_a_drain_finds_in_the_outbox_is_relayed(placed: Any, infra: Infra) -> None:
    service, _ = placed
    async with service:
        async with service.db.transaction() as tx:
            tx.emit(events_pb2.AccountVerified(account=f"accounts/{ANN}"))
        await service.start()
        await service.drain(grace=5)
        assert await _left(service)


async def test_an_erased_account_is_refused_by_its_tombstone(
    placed: Any, infra: Infra, settings: ServiceSettings
) -> None:
    _, tokens = placed
    async with serving(placed, infra) as (handler, _):
        sql = await asyncpg.connect(settings.database_url.get_secret_value())
        await sql.execute("INSERT INTO tombstones (account, erased_at) VALUES ($1, now())", ANN)
        await sql.close()
        address = handler.service.address
        async with calling(address, infra.tls_dir("gateway"), to="identity") as channel:
            call = BillingServiceStub(channel).ListEntries
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b.ListEntriesRequest(), metadata=tokens.metadata(ANN))
    assert refusal_from(caught.value).reason == "ACCOUNT_ERASED"


@pytest.mark.promise("8-tls")
async def test_metrics_are_for_holders_of_our_certificates(placed: Any, infra: Infra) -> None:
    async with serving(placed, infra) as (handler, get_balance), aiohttp.ClientSession() as http:
        await get_balance()
        url = f"https://localhost:{handler.service.metrics_port}/metrics"
        folder = infra.tls_dir("gateway")
        tls = ssl.create_default_context(cafile=folder / "ca.crt")
        with pytest.raises(aiohttp.ClientError):
            await http.get(url, ssl=tls)
        tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        async with http.get(url, ssl=tls) as answer:
            text = await answer.text()
    assert 'crafiq_rpc_seconds_count{method="/crafiq.billing.v1.BillingService/GetBalance"}' in text
    certificate = x509.load_pem_x509_certificate((infra.tls_dir("identity") / "tls.crt").read_bytes())
    [line] = re.findall(r"^crafiq_certificate_ends_timestamp_seconds (\S+)$", text, re.MULTILINE)
    assert float(line) == certificate.not_valid_after_utc.timestamp()


async def test_traces_are_written_when_the_service_ends(
    placed: Any, infra: Infra, settings: ServiceSettings
) -> None:
    async with serving(placed, infra) as (_, get_balance):
        await get_balance()
    assert settings.trace_file is not None
    lines = [json.loads(line) for line in settings.trace_file.read_text().splitlines()]
    assert "/crafiq.billing.v1.BillingService/GetBalance" in [line["name"] for line in lines]
    assert str(ANN) not in settings.trace_file.read_text()


async def test_a_worker_that_fails_is_started_again_and_a_job_runs(
    placed: Any, infra: Infra, caplog: pytest.LogCaptureFixture
) -> None:
    service, _ = placed
    starts, ran, ended = [], asyncio.Event(), asyncio.Event()

    async def worker() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError("about ann@example.com")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def job() -> None:
        ran.set()

    async with service:
        service.background(worker)
        service.every(Job("test", timedelta(seconds=30), job))
        async with running(service):
            await eventually(lambda: len(starts) == 2)
            await asyncio.wait_for(ran.wait(), 20)
        assert ended.is_set()
    assert "a worker failed and is started again" in caplog.text


async def test_a_signal_drains_and_the_call_in_hand_is_answered(placed: Any, infra: Infra) -> None:
    service, tokens = placed
    async with service:
        handler: Billing = complete(BILLING, Billing)(service)
        handler.slow.clear()
        service.offer(BILLING, handler)
        serving = asyncio.create_task(service.run())
        address = await eventually(lambda: getattr(service, "address", ""))
        async with calling(address, infra.tls_dir("gateway"), to="identity") as channel:
            stub = BillingServiceStub(channel)
            call = stub.GetBalance(b.GetBalanceRequest(), metadata=tokens.metadata(ANN))
            await handler.begun.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            handler.slow.set()
            assert (await call).available == 7
        await asyncio.wait_for(serving, 30)


async def test_a_start_that_fails_leaves_nothing_open(settings: ServiceSettings, tmp_path: Path) -> None:
    service = Placed("identity", settings, metadata=Row.metadata)
    service.folder = tmp_path / "nowhere"
    with pytest.raises(Exception, match="nowhere"):
        async with service:
            raise AssertionError("entered")
