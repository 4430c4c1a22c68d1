"""Billing, put together: read this and you know everything it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.events_pb2 import AccountErased
from crafiq.generation.v1.generation_pb2_grpc import GenerationServiceStub
from pydantic import Field, SecretStr

from chassis.jobs import Job
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from promises.retention import HOURLY
from promises.standing import keep_promises
from services.billing.adapters.jobs import Jobs
from services.billing.adapters.stripe import stripe_at
from services.billing.consumers import Consumers, Records
from services.billing.domain import Gift, Row
from services.billing.handler import Handler
from services.billing.jobs import Expiry, Payments, StaleHolds
from services.billing.repository import Books, Customers, Ledger


class Settings(ServiceSettings):
    """`sign_up_credits`: what a new person is given, which ends after `sign_up_credits_last` if that is set.

    `hold_lifetime`: how long a hold stands before the job is asked about. `stripe_api_key`: without it
    Stripe refuses whatever it is asked; `stripe_webhook_secret`: without it nothing is believed that comes.
    """

    sign_up_credits: int = Field(default=100, ge=0, le=1_000_000)
    sign_up_credits_last: timedelta | None = None
    hold_lifetime: timedelta = timedelta(hours=24)
    stripe_url: str = "https://api.stripe.com"
    stripe_api_key: SecretStr = SecretStr("")
    stripe_webhook_secret: SecretStr = SecretStr("")


@asynccontextmanager
async def compose(service: Service, settings: Settings) -> AsyncIterator[Payments]:
    """Wire the service; its connections to Stripe close when the block ends."""
    ledger, books = Ledger(service.db), Books(service.db)
    pages = Pages(bytes.fromhex(settings.request_key.get_secret_value()))
    welcome = Gift(settings.sign_up_credits, settings.sign_up_credits_last)
    service.listen(Consumers(ledger, welcome).subscriptions())
    service.every(Job("expire lots", timedelta(minutes=1), Expiry(ledger).run))
    jobs = Jobs(GenerationServiceStub(service.peer("generation")))
    service.every(Job("settle stale holds", timedelta(minutes=1), StaleHolds(ledger, jobs).run))
    service.every(Job("sweep closed books", HOURLY, books.sweep))
    async with stripe_at(settings.stripe_url, settings.stripe_api_key) as stripe:
        payments = Payments(Customers(service.db), stripe)
        told = settings.stripe_webhook_secret
        handler = Handler(ledger, pages, settings.hold_lifetime, payments.heed, told)
        service.offer(billing_pb2.DESCRIPTOR.services_by_name["BillingService"], handler)
        keep_promises(service, AccountErased, [Records(books), payments])
        service.every(Job("close customers", timedelta(minutes=1), payments.sweep))
        yield payments


async def start() -> None:
    """Serve until told to stop."""
    settings = Settings.load()
    async with Service("billing", settings, metadata=Row.metadata) as service, compose(service, settings):
        await service.run()


if __name__ == "__main__":
    main(start)
