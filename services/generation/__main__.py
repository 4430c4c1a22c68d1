"""Generation, put together: read this and you know everything it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.generation.v1 import generation_pb2
from crafiq.generation.v1.events_pb2 import AccountErased

from chassis.pages import Pages
from chassis.service import Service, main
from promises.standing import keep_promises
from services.generation.adapters.assets import Assets, storage_session
from services.generation.adapters.openai import OpenAI, OpenAILimits, openai_session
from services.generation.adapters.pictures import Pictures
from services.generation.consumers import Consumers
from services.generation.domain import Catalogue, Route, Row
from services.generation.handler import Desk, Handler
from services.generation.jobs import Delivery, Queue, VendorCopies, Work, periodic
from services.generation.repository import Changes, Jobs
from services.generation.settings import Settings


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
        service.listen(Consumers().subscriptions())
        work = Work(jobs, routes, assets, Delivery(jobs, assets, Pictures(), rules), rules)
        for job in periodic(jobs, rules, copies):
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
