"""Thumbnails and posters are drawn, one file after the other, whatever becomes of those who draw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import timedelta

from prometheus_client import Counter

from chassis.errors import Refusal, Unavailable
from chassis.jobs import Job
from services.assets.adapters.renderer import Renderer, RenderingFailed
from services.assets.adapters.storage import Storage
from services.assets.domain.library import Asset
from services.assets.domain.publications import Publication
from services.assets.domain.renditions import (
    Pictures,
    PublicRendition,
    Rendering,
    Rendition,
    drawn,
)
from services.assets.domain.shelves import key_on_shelf
from services.assets.repository import Library, Renditions

LOG = logging.getLogger("crafiq.assets.rendering")
RENDERED = Counter("crafiq_renderings", "How the drawing of files ended.", ["result"])

POLL_SECONDS = 0.5
"""How long a file may wait for somebody to look whether there is one."""
AWAY = timedelta(seconds=20)
"""How long storage is left alone that did not answer."""
BATCH = 1000


class Artist:
    """Draws what is to be drawn. Several may be at it, in one process or in many."""

    def __init__(
        self, renditions: Renditions, library: Library, storage: Storage, renderer: Renderer
    ) -> None:
        self._renditions, self._library = renditions, library
        self._storage, self._renderer = storage, renderer

    def jobs(self) -> list[Job]:
        """What is done beside it, by one process at a time."""
        return [
            Job("renderings given up", timedelta(minutes=1), self._renditions.give_up),
            Job("renderings overlooked", timedelta(days=1), self.find_overlooked),
        ]

    async def find_overlooked(self) -> None:
        """Note everything that was there before renditions were, or came by way of an older version."""
        while await self._renditions.find_overlooked(BATCH) == BATCH:
            pass

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.draw_one():
                pass
            await asyncio.sleep(POLL_SECONDS)

    async def draw_one(self) -> bool:
        """Take what is due next and bring it to an end, or leave it so that it comes to one.

        False if nothing is due. Raises what the database raises.
        """
        work = await self._renditions.claim()
        if work is None:
            return False
        try:
            await self._draw(work)
        except asyncio.CancelledError:
            await asyncio.shield(self._renditions.put_back(work))
            raise
        except Unavailable as refusal:
            LOG.warning("a rendering waits: %s", refusal.reason)
            await self._renditions.put_back(work, AWAY)
        except (RenderingFailed, Refusal) as failure:
            RENDERED.labels("failed").inc()
            LOG.warning("rendering %s failed: %s", work.id, getattr(failure, "reason", str(failure)))
            await self._renditions.failed(work)
        return True

    async def _draw(self, work: Rendering) -> None:
        asset = await self._renditions.asset(work) if work.asset else None
        publication = await self._renditions.publication(work) if work.publication else None
        if asset is not None:
            await self._draw_asset(work, asset)
        elif publication is not None:
            await self._show(work, publication)
        else:
            await self._renditions.settle(work)

    async def _draw_asset(self, work: Rendering, asset: Asset) -> None:
        pictures = await self._pictures(asset, self._storage.read(asset.object))
        rows = [
            Rendition.of(asset, kind, picture, key_on_shelf(asset.account, self._renditions.new_id()))
            for kind, picture in pictures.items()
        ]
        for row in rows:
            await self._library.note(row.object, self._renditions.now())
            await self._storage.shelve(row.object, pictures[row.kind])
        if not await self._renditions.keep(work, asset, rows):
            # Marked by nobody, so they would lie there for minutes more.
            keys = [row.object for row in rows]
            await self._storage.remove(keys)
            await self._library.forget(keys)

    async def _show(self, work: Rendering, publication: Publication) -> None:
        """The renditions of its asset, if that is there and has some; else those of its own bytes."""
        there = await self._renditions.of(publication.asset) if publication.asset else []
        for rendition in there:
            await self._storage.publish(rendition.object, publication.id, rendition.kind)
        rows = [PublicRendition.copied(publication.id, rendition) for rendition in there]
        if not there:
            pictures = await self._pictures(publication, self._storage.read_public(publication.id))
            for kind, picture in pictures.items():
                await self._storage.show(publication.id, kind, picture)
                rows.append(PublicRendition.of(publication.id, kind, picture))
        shown = await self._renditions.show(work, rows)
        if not shown and await self._renditions.publication(work) is None:
            await self._storage.hide(publication.id, [row.kind for row in rows])  # taken down meanwhile

    async def _pictures(self, what: Asset | Publication, content: AsyncGenerator[bytes, None]) -> Pictures:
        pictures = drawn(await self._renderer.draw(what.content_type, content))
        RENDERED.labels("drawn" if pictures else "nothing").inc()
        return pictures
