"""What is to be drawn, what was, and how it is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from chassis.db import Contended, Database, Queries, Record, Statement, scalar
from services.assets.domain.library import Asset
from services.assets.domain.publications import Publication
from services.assets.domain.renditions import (
    LEASE,
    TRIES_MOST,
    PublicRendition,
    Rendering,
    Rendition,
)
from services.assets.repository.objects import SHELVE

# What came last is what somebody is looking at. A publication waits for its asset, whose renditions it gets.
CLAIM = Statement(
    text(
        """
        UPDATE renderings SET tries = tries + 1, due = :until WHERE id = (
          SELECT id FROM renderings WHERE due <= :now AND tries < :most
            AND NOT EXISTS (
              SELECT FROM publications JOIN renderings AS first ON first.id = publications.asset
              WHERE publications.id = renderings.publication AND first.due IS NOT NULL)
          ORDER BY due DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING *
        """
    ),
    Rendering,
)
# Whoever claims counts the try: so a number of tries is one claim, and who comes late with another changes
# nothing.
MOVE = Statement(
    text(
        "UPDATE renderings SET due = :moved, tries = tries - :given_back "
        "WHERE id = :own AND tries = :claimed AND due IS NOT NULL"
    )
)
GIVE_UP = Statement(text("UPDATE renderings SET due = NULL WHERE due <= :now AND tries >= :most"))
OVERLOOKED = Statement(
    text(
        """
        INSERT INTO renderings (id, asset, tries, due)
        SELECT id, id, 0, :now FROM assets
        WHERE NOT EXISTS (SELECT FROM renderings WHERE renderings.id = assets.id)
        LIMIT :most FOR KEY SHARE SKIP LOCKED ON CONFLICT DO NOTHING
        """
    )
)
OVERLOOKED_PUBLIC = Statement(
    text(
        """
        INSERT INTO renderings (id, publication, tries, due)
        SELECT id, id, 0, :now FROM publications
        WHERE NOT EXISTS (SELECT FROM renderings WHERE renderings.id = publications.id)
        LIMIT :most FOR KEY SHARE SKIP LOCKED ON CONFLICT DO NOTHING
        """
    )
)
ASSET = Statement(text("SELECT * FROM assets WHERE id = :asset"), Asset)
PUBLICATION = Statement(
    text("SELECT * FROM publications WHERE id = :publication AND NOT taken_down"), Publication
)
# First the person, then the asset: in the order in which an erasure takes its locks.
PERSON = Statement(text("SELECT account FROM subjects WHERE account = :owner FOR KEY SHARE"), scalar)
STILL = Statement(text("SELECT id FROM assets WHERE id = :asset FOR KEY SHARE"), scalar)
STILL_PUBLIC = Statement(
    text("SELECT id FROM publications WHERE id = :publication AND NOT taken_down FOR SHARE"), scalar
)
OF_ASSET = Statement(text("SELECT * FROM renditions WHERE asset = :asset ORDER BY kind"), Rendition)
OF_PUBLICATIONS = Statement(
    text("SELECT * FROM publication_renditions WHERE publication = ANY(:publications) ORDER BY kind"),
    PublicRendition,
)
# A row for each rendition; one without, if there is none.
ABOUT = Statement(
    text(
        """
        SELECT assets.id AS of_asset, publications.id AS publication,
          renderings.due IS NOT NULL AS pending, renditions.*
        FROM assets LEFT JOIN publications ON publications.asset = assets.id AND NOT taken_down
        LEFT JOIN renderings ON renderings.id = assets.id
        LEFT JOIN renditions ON renditions.asset = assets.id
        WHERE assets.id = ANY(:assets) ORDER BY renditions.kind
        """
    )
)


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an asset beside it: its renditions, whether more come, what was made public of it."""

    renditions: tuple[Rendition, ...] = ()
    pending: bool = False
    publication: UUID | None = None


class Renditions:
    """Renditions of assets and of publications, and the work of drawing them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.now, self.new_id = db.clock.now, db.new_id

    async def claim(self) -> Rendering | None:
        """Take what is to be drawn next, for as long as the lease is; None if there is nothing."""
        now = self.now()
        return await self._db.first(CLAIM, now=now, until=now + LEASE, most=TRIES_MOST)

    async def asset(self, work: Rendering) -> Asset | None:
        """What is to be drawn; None if it is gone."""
        return await self._db.first(ASSET, asset=work.asset)

    async def publication(self, work: Rendering) -> Publication | None:
        """What is to be shown; None if it was taken down."""
        return await self._db.first(PUBLICATION, publication=work.publication)

    async def of(self, asset: UUID) -> list[Rendition]:
        """The renditions of an asset."""
        return await self._db.all(OF_ASSET, asset=asset)

    async def about(self, assets: Sequence[UUID]) -> dict[UUID, About]:
        """Of each of these assets, all there is to say."""
        records: dict[UUID, list[Record]] = defaultdict(list)
        for record in await self._db.all(ABOUT, assets=list(assets)):
            records[record["of_asset"]].append(record)
        return {asset: _about(found) for asset, found in records.items()}

    async def keep(self, work: Rendering, asset: Asset, drawn: Sequence[Rendition]) -> bool:
        """Commit what was drawn of an asset; False if the asset went, or somebody else claimed it since.

        Raises Contended if the objects were swept away meanwhile.
        """
        async with self._db.transaction() as tx:
            for statement, values in ((PERSON, {"owner": asset.account}), (STILL, {"asset": asset.id})):
                if await tx.first(statement, **values) is None:
                    return False
            if not await self._move(work, None, within=tx):
                return False
            for each in drawn:
                await tx.insert(each)
                if not await tx.execute(SHELVE, owner=asset.id, object_key=each.object):
                    raise Contended
        return True

    async def show(self, work: Rendering, drawn: Sequence[PublicRendition]) -> bool:
        """Commit what was drawn of a publication; False if it was taken down, or somebody else claimed it."""
        async with self._db.transaction() as tx:
            if await tx.first(STILL_PUBLIC, publication=work.publication) is None:
                return False
            if not await self._move(work, None, within=tx):
                return False
            for each in drawn:
                await tx.insert(each)
        return True

    async def settle(self, work: Rendering) -> None:
        """There is nothing to draw, or nothing to draw it of."""
        await self._move(work, None)

    async def failed(self, work: Rendering) -> None:
        """It is tried again after a while, or never."""
        pause = work.next_try
        await self._move(work, None if pause is None else self.now() + pause)

    async def put_back(self, work: Rendering, after: timedelta = timedelta()) -> None:
        """It was not the file's fault: this try does not count."""
        await self._move(work, self.now() + after, given_back=1)

    async def _move(
        self, work: Rendering, due: datetime | None, *, given_back: int = 0, within: Queries | None = None
    ) -> bool:
        moved = {"own": work.id, "claimed": work.tries, "moved": due, "given_back": given_back}
        return bool(await (within or self._db).execute(MOVE, **moved))

    async def give_up(self) -> None:
        """What was claimed for the last time by somebody who died is not tried again."""
        await self._db.execute(GIVE_UP, now=self.now(), most=TRIES_MOST)

    async def find_overlooked(self, most: int) -> int:
        """Note what nobody noted: what came before there were renditions. Answers how many, up to `most`."""
        now = self.now()
        found = [
            await self._db.execute(statement, now=now, most=most)
            for statement in (OVERLOOKED, OVERLOOKED_PUBLIC)
        ]
        return max(found)


def rendition_of(record: Record) -> Rendition:
    """The rendition in a record that has more in it."""
    columns = ("asset", "kind", "account", "size_bytes", "width", "height", "object")
    return Rendition(**{name: record[name] for name in columns})


def public_rendition_of(record: Record) -> PublicRendition:
    """The rendition of a publication in a record that has more in it."""
    columns = ("publication", "kind", "size_bytes", "width", "height")
    return PublicRendition(**{name: record[name] for name in columns})


def _about(records: list[Record]) -> About:
    renditions = (rendition_of(record) for record in records if record["kind"] is not None)
    return About(tuple(renditions), records[0]["pending"], records[0]["publication"])
