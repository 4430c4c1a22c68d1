"""Assets, put together: read this and you know everything it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crafiq.assets.v1 import assets_pb2
from crafiq.assets.v1.events_pb2 import AccountErased

from chassis.pages import Pages
from chassis.service import Service, main
from promises.standing import keep_promises
from services.assets.adapters.licence import licence
from services.assets.adapters.names import Names
from services.assets.adapters.renderer import Renderer
from services.assets.adapters.storage import Places, opened
from services.assets.adapters.workshop import Workshop
from services.assets.consumers import Consumers, Objects
from services.assets.domain import Row
from services.assets.handler import Desk, Handler
from services.assets.jobs import Artist, Blending, Housekeeper, Sweeper, shuffled
from services.assets.repository import (
    Countdowns,
    Library,
    Packs,
    Publications,
    Renditions,
    Uploads,
    Views,
)
from services.assets.settings import Settings


@asynccontextmanager
async def compose(service: Service, settings: Settings) -> AsyncIterator[Desk]:
    """Wire the service; its connections to storage and its threads end when the block does."""
    keys = settings.s3_access_key.get_secret_value(), settings.s3_secret_key.get_secret_value()
    places = Places(settings.s3_quarantine, settings.s3_library, settings.s3_public)
    names, workshop = Names(service.peer("identity"), service.clock), Workshop(settings.examined)
    pages, db = Pages(bytes.fromhex(settings.request_key.get_secret_value())), service.db
    uploads, library, publications = Uploads(db), Library(db), Publications(db)
    renditions, views, countdowns = Renditions(db), Views(db), Countdowns(db, settings.idle)
    async with opened(settings.s3_url, keys, places, service.clock) as storage:
        blending = Blending(publications, storage, service.clock, service.new_id, shuffled)
        desk = Desk(
            uploads, library, Packs(db), publications, renditions, countdowns, views, storage, workshop,
            names, licence(), settings.public_url, pages, service.clock, service.new_id, blending.now,
        )  # fmt: skip
        service.offer(assets_pb2.DESCRIPTOR.services_by_name["AssetsService"], Handler(desk))
        keep_promises(service, AccountErased, [Objects(library, storage)])
        service.listen(Consumers().subscriptions())
        sweeper = Sweeper(uploads, library, publications, storage, service.clock, settings.writing)
        artist = Artist(renditions, library, storage, Renderer())
        keeper = Housekeeper(countdowns, library)
        for job in (*sweeper.jobs(), *artist.jobs(), *keeper.jobs(), blending.job()):
            service.every(job)
        for worker in (views.run, *[artist.run] * settings.drawn):
            service.background(worker)
        try:
            yield desk
        finally:
            workshop.close()


async def start() -> None:
    """Serve until told to stop."""
    settings = Settings.load()
    async with Service("assets", settings, metadata=Row.metadata) as service, compose(service, settings):
        await service.run()


if __name__ == "__main__":
    main(start)
