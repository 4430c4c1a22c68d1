"""Assets and packs as their owner sees them, with pictures of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from crafiq.assets.v1 import assets_pb2

from services.assets.domain.library import Asset
from services.assets.domain.packs import Pack
from services.assets.domain.renditions import Rendition
from services.assets.handler import rendering
from services.assets.handler.desk import Desk
from services.assets.repository import About, Filled


async def assets(desk: Desk, rows: Sequence[Asset]) -> list[assets_pb2.Asset]:
    """A page of them: two questions for all."""
    ids = [row.id for row in rows]
    about, removals = await asyncio.gather(desk.renditions.about(ids), desk.countdowns.removals(ids))
    return [_whole(desk, row, about.get(row.id, About()), removals.get(row.id)) for row in rows]


async def asset(desk: Desk, row: Asset) -> assets_pb2.Asset:
    """One."""
    (message,) = await assets(desk, [row])
    return message


def _whole(desk: Desk, row: Asset, about: About, removal: datetime | None) -> assets_pb2.Asset:
    message = rendering.asset(row)
    message.renditions.extend(linked(desk, each) for each in about.renditions)
    message.renditions_pending = about.pending
    message.publication = f"publications/{about.publication}" if about.publication else ""
    if removal is not None:
        message.expire_time.FromDatetime(removal)
    return message


def linked(desk: Desk, row: Rendition) -> assets_pb2.Rendition:
    """A rendition with a URL that gives its bytes for a minute."""
    url, expires_at = desk.storage.link(row.object)
    message = rendering.rendition(row, url)
    message.expires_at.FromDatetime(expires_at)
    return message


async def pack(desk: Desk, found: Filled) -> assets_pb2.Pack:
    """A pack with what is in it."""
    covers = await desk.packs.covers([found.pack.id])
    return _covered(desk, rendering.filled(found), covers.get(found.pack.id))


async def packs(desk: Desk, rows: Sequence[Pack]) -> list[assets_pb2.Pack]:
    """A page of packs, without what is in them."""
    sizes, covers = await desk.packs.sizes(rows), await desk.packs.covers([row.id for row in rows])
    return [_covered(desk, rendering.pack(row, sizes.get(row.id, 0)), covers.get(row.id)) for row in rows]


def _covered(desk: Desk, message: assets_pb2.Pack, cover: Rendition | None) -> assets_pb2.Pack:
    if cover is not None:
        message.cover.CopyFrom(linked(desk, cover))
    return message
