"""Billing, put together: read this and you know everything it works with."""

from __future__ import annotations

from datetime import timedelta

from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.events_pb2 import AccountErased
from crafiq.generation.v1.generation_pb2_grpc import GenerationServiceStub
from pydantic import Field

from chassis.jobs import Job
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from promises.standing import keep_promises
from services.billing.adapters import Jobs
from services.billing.consumers import Books, Consumers
from services.billing.domain import Gift, Row
from services.billing.handler import Handler
from services.billing.jobs import Expiry, StaleHolds
from services.billing.repository import Ledger


class Settings(ServiceSettings):
    """`sign_up_credits`: what a new person is given, which ends after `sign_up_credits_last` if that is set.

    `hold_lifetime`: how long a hold stands before the job is asked about.
    """

    sign_up_credits: int = Field(default=100, ge=0, le=1_000_000)
    sign_up_credits_last: timedelta | None = None
    hold_lifetime: timedelta = timedelta(hours=24)


def compose(service: Service, settings: Settings) -> None:
    """Wire the service."""
    ledger = Ledger(service.db)
    pages = Pages(bytes.fromhex(settings.request_key.get_secret_value()))
    handler = Handler(ledger, pages, settings.hold_lifetime)
    service.offer(billing_pb2.DESCRIPTOR.services_by_name["BillingService"], handler)
    keep_promises(service, AccountErased, [Books(ledger)])
    welcome = Gift(settings.sign_up_credits, settings.sign_up_credits_last)
    service.listen(Consumers(ledger, welcome).subscriptions())
    service.every(Job("expire lots", timedelta(minutes=1), Expiry(ledger).run))
    jobs = Jobs(GenerationServiceStub(service.peer("generation")))
    service.every(Job("settle stale holds", timedelta(minutes=1), StaleHolds(ledger, jobs).run))


async def start() -> None:
    """Serve until told to stop."""
    settings = Settings.load()
    async with Service("billing", settings, metadata=Row.metadata) as service:
        compose(service, settings)
        await service.run()


if __name__ == "__main__":
    main(start)
