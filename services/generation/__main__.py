"""Generation, put together: read this and you know everything it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.generation.v1 import generation_pb2
from crafiq.generation.v1.events_pb2 import AccountErased
from pydantic import SecretStr

from chassis.pages import Pages
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from promises.standing import keep_promises
from services.generation.adapters.assets import Assets, storage_session
from services.generation.adapters.openai import OpenAI, OpenAILimits, openai_session
from services.generation.adapters.pictures import Pictures
from services.generation.consumers import Consumers
from services.generation.domain import Catalogue, RetryPolicy, Route, Row, Rules
from services.generation.handler import Desk, Handler
from services.generation.jobs import Delivery, Queue, VendorCopies, Work, periodic
from services.generation.repository import Changes, Jobs


class Settings(ServiceSettings):
    """`retry`: the first wait for a vendor; `storing`: the longest for storage. Seconds; else as Rules."""

    openai_url: str = "https://api.openai.com/v1"
    openai_sandbox: bool = False
    openai_api_key: SecretStr
    openai_seconds: float = 180
    slots: int = 8
    share: int = 4
    unknown: float = 900
    lease: float = 30
    retry: float = 1
    storing: float = 30

    def rules(self) -> Rules:
        """What jobs go by."""
        retry, unknown, lease = (timedelta(seconds=n) for n in (self.retry, self.unknown, self.lease))
        return Rules(RetryPolicy(first=retry), self.slots, self.share, unknown, lease)


@asynccontextmanager
async def compose(service: Service, settings: Settings) -> AsyncIterator[None]:
    """Wire the service; its connections to the outside close when the block ends."""
    catalogue = Catalogue.parse((Path(__file__).parent / "documents/catalogue.toml").read_text("utf-8"))
    key, secret = bytes.fromhex(settings.request_key.get_secret_value()), settings.openai_api_key
    async with openai_session() as http, storage_session() as storage:
        openai = OpenAI(http, settings.openai_url, secret, OpenAILimits(settings.openai_seconds))
        routes = {"openai": Route("openai", openai, catalogue.vendors["openai"], settings.openai_sandbox)}
        jobs, library = Jobs(service.db, Changes()), AssetsServiceStub(service.peer("assets"))
        billing, rules = BillingServiceStub(service.peer("billing")), settings.rules()
        assets = Assets(library, storage, settings.storing)
        desk = Desk(jobs, catalogue.of(routes), routes, library, billing, Pages(key), key)
        service.offer(generation_pb2.DESCRIPTOR.services_by_name["GenerationService"], Handler(desk))
        copies = VendorCopies(jobs.copies, routes)
        keep_promises(service, AccountErased, [copies])
        service.every(Job("vendor copies", timedelta(minutes=1), copies.sweep))
        service.listen(Consumers().subscriptions())
        work = Work(jobs, routes, assets, Delivery(jobs, assets, Pictures(), rules), rules)
        for job in periodic(jobs, rules):
            service.every(job)
        service.background(Queue(jobs, work, rules).run)
        service.background(jobs.follow)
        yield


async def start() -> None:
    """Serve until told to stop."""
    settings = Settings.load()
    async with Service("generation", settings, metadata=Row.metadata) as service, compose(service, settings):
        await service.run()


if __name__ == "__main__":
    main(start)
