"""Billing's database and the stand-in for Stripe, without the rest of the service, and people who pay."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
import stripe
from aiohttp import web
from crafiq.billing.v1.events_pb2 import AccountErased
from pydantic import SecretStr
from sqlalchemy import text as sql

from chassis import migrate
from chassis.db import Database, Record, Statement, scalar
from deploy.local.infra import Infra
from promises import subjects
from promises.eraser import Eraser
from promises.erasing import Erasing, Wanted
from promises.holdings import Holdings
from sandbox.stripe.app import create_app
from services.billing.adapters.stripe import stripe_at
from services.billing.consumers import Records
from services.billing.domain import Gift, Row
from services.billing.jobs import Payments
from services.billing.repository import Books, Customers, Ledger
from tests.personal import used
from tests.support import FakeClock
from tools.migration import folder_of

KEY = "sk_test_sandbox_of_a_test"
SECONDS = 5.0
"""How long a test lets Stripe take, if it does not say."""


class Bank:
    """The stand-in for Stripe as tests steer and read it, and as somebody's checkout would use it."""

    def __init__(self, url: str, http: aiohttp.ClientSession, client: stripe.StripeClient) -> None:
        self.url, self._http, self.client = url, http, client

    async def fault(self, *faults: dict[str, Any]) -> None:
        """Switch on these faults and no others."""
        async with self._http.put(f"{self.url}/sandbox/faults", json=list(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def requests(self, about: str, method: str = "") -> list[dict[str, Any]]:
        """What was received with this in its path or parameters, oldest first."""
        async with self._http.get(f"{self.url}/sandbox/requests") as answer:
            rows = [row for row in await answer.json() if about in f"{row['path']} {row['parameters']}"]
        return [row for row in rows if row["method"].startswith(method)]

    async def become(self, subscription: str, status: str) -> None:
        """Time goes by, a bank says no."""
        url = f"{self.url}/sandbox/subscriptions/{subscription}"
        async with self._http.put(url, json={"status": status}) as answer:
            assert answer.status == 200, await answer.text()

    async def customers(self, book: UUID) -> list[str]:
        """Who is a book's customer and not deleted."""
        found = await self.client.v1.customers.search_async({"query": f"metadata['wallet']:'{book}'"})
        return [used(each.id, "customer at Stripe") for each in found.data]

    async def subscribe(self, customer: str, **more: Any) -> str:
        """A card, and a subscription that is paid with it."""
        card = await self.client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
        price = await self.client.v1.prices.create_async(
            {
                "currency": "eur", "unit_amount": 900, "product_data": {"name": "Credits"},
                "recurring": {"interval": "month"},
            }
        )  # fmt: skip
        items = [{"price": price.id}]
        asked = {"customer": customer, "items": items, "default_payment_method": card.id, **more}
        return used((await self.client.v1.subscriptions.create_async(asked)).id, "subscription at Stripe")

    async def status(self, subscription: str) -> str:
        """Where it stands."""
        return (await self.client.v1.subscriptions.retrieve_async(subscription)).status

    async def deleted(self, customer: str) -> bool:
        """Whether Stripe says so."""
        found = await self.client.v1.customers.retrieve_async(customer)
        return bool(getattr(found, "deleted", False))


@asynccontextmanager
async def stripe_sandbox(now: Callable[[], datetime]) -> AsyncIterator[Bank]:
    """Serve it in this process, on a free port of loopback."""
    runner = web.AppRunner(create_app(KEY, now), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sdk = stripe.AIOHTTPClient(timeout=10)
    client = stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0, http_client=sdk)
    try:
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as http:
            yield Bank(url, http, client)
    finally:
        await sdk.close_async()
        await runner.cleanup()


@dataclass
class Till:
    """What billing does about payments, on a database of its own."""

    db: Database
    clock: FakeClock
    bank: Bank
    payments: Payments

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.db)

    @property
    def books(self) -> Books:
        return Books(self.db)

    @property
    def eraser(self) -> Eraser:
        """As the service composes it."""
        return Eraser(self.db, Erasing(Row.metadata, [Records(self.books), self.payments]), AccountErased)

    @property
    def holdings(self) -> Holdings:
        return Holdings(self.db, Row.metadata, [Records(self.books), self.payments])

    async def person(self) -> UUID:
        """Somebody with a wallet."""
        account = uuid4()
        async with self.db.transaction() as tx:
            await subjects.begin(tx, account)
            await self.ledger.open(tx, account, Gift(100))
        return account

    async def book(self, account: UUID) -> UUID:
        """Under which name Stripe knows somebody's wallet."""
        book = await self.ledger.book(account)
        assert book is not None
        return book

    async def payer(self, subscriptions: int = 1) -> tuple[UUID, str, list[str]]:
        """Somebody, who they are at Stripe, and what they subscribed to."""
        account = await self.person()
        customer = await self.payments.customer_for(account)
        return account, customer, [await self.bank.subscribe(customer) for _ in range(subscriptions)]

    def wanted(self, account: UUID) -> Wanted:
        """An erasure of theirs."""
        return Wanted(account, uuid4(), self.clock.now())

    async def ask(self, wanted: Wanted) -> None:
        """Write down that this is wanted."""
        async with self.db.transaction() as tx:
            await self.eraser.ask(tx, wanted)

    async def closings(self, book: UUID) -> list[Record]:
        """What is written down about customers of a book."""
        return await self.db.all(CLOSINGS, book=book)

    async def closings_of(self, wanted: Wanted) -> list[Record]:
        """What is written down about an erasure's customer."""
        return await self.db.all(CLOSINGS_OF, erasure=wanted.erasure)

    async def subscribed(self, account: UUID) -> dict[str, str]:
        """What is known here of somebody's subscriptions: where each stands."""
        rows = await self.db.all(SUBSCRIBED, account=account)
        return {row["subscription"]: row["status"] for row in rows}

    async def ledger_of(self, book: UUID) -> list[int]:
        """The amounts of a book's transfers, whoever's it is."""
        return await self.db.all(AMOUNTS, book=book)

    async def forgets(self, account: UUID) -> None:
        """A backup is restored that knows nothing of somebody's customer."""
        book = await self.book(account)
        await self.db.execute(FORGET_CLOSINGS, book=book)
        await self.db.execute(FORGET_CUSTOMER, account=account)

    async def somebody_waits(self) -> bool:
        """Whether a statement waits for a lock that another transaction has."""
        return bool(await self.db.one(WAITING))

    async def under_way(self, account: UUID) -> str | None:
        """Why an erasure has not got through; None if there is none."""
        row = await self.db.first(ERASURE, account=account)
        return None if row is None else str(row["cause"])


CLOSINGS = Statement(sql("SELECT * FROM closings WHERE book = :book"))
CLOSINGS_OF = Statement(sql("SELECT * FROM closings WHERE erasure = :erasure"))
SUBSCRIBED = Statement(sql("SELECT * FROM stripe_subscriptions WHERE account = :account"))
AMOUNTS = Statement(sql("SELECT amount FROM transfers WHERE book = :book"), scalar)
WAITING = Statement(
    sql(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ),
    scalar,
)
FORGET_CLOSINGS = Statement(sql("DELETE FROM closings WHERE book = :book"))
FORGET_CUSTOMER = Statement(sql("DELETE FROM stripe_customers WHERE account = :account"))
ERASURE = Statement(sql("SELECT cause FROM erasures WHERE account = :account"))


@asynccontextmanager
async def empty_database(infra: Infra) -> AsyncIterator[str]:
    """One of billing's own, without tables, until the block ends."""
    name = f"billing_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(infra.postgres.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} OWNER billing")
    yield re.sub(r"/billing\?", f"/{name}?", infra.postgres.dsn("billing"), count=1)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="module")
async def till_database(infra: Infra) -> AsyncIterator[str]:
    """Billing's tables, empty."""
    async with empty_database(infra) as url:
        await migrate.upgrade(url, Path(folder_of("billing")))
        yield url


@pytest.fixture
def till_clock() -> FakeClock:
    """The time at Stripe's and at ours, which other processes read from their own clocks."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture
async def till_bank(till_clock: FakeClock) -> AsyncIterator[Bank]:
    async with stripe_sandbox(till_clock.now) as bank:
        yield bank


@pytest.fixture
async def till(till_database: str, till_clock: FakeClock, till_bank: Bank) -> AsyncIterator[Till]:
    """At Stripe nobody is known yet."""
    async with a_till(till_database, till_clock, till_bank) as made:
        yield made


@asynccontextmanager
async def a_till(
    database: str, clock: FakeClock, bank: Bank, *, url: str = "", key: str = KEY, seconds: float = SECONDS
) -> AsyncIterator[Till]:
    """As one process of billing has it; `url` and `key` of another Stripe."""
    opened = Database.open(database, clock=clock, new_id=uuid4, request_key=b"k" * 32, size=(1, 8))
    async with opened as db, stripe_at(url or bank.url, SecretStr(key), seconds) as stripe_:
        yield Till(db, clock, bank, Payments(Customers(db), stripe_))
