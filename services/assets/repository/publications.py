"""Publications, who likes them, and the public bytes that are on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import text

from chassis.db import Contended, Database, Record, Statement, Transaction, scalar
from promises import subjects
from services.assets.domain.publications import Copying, Counts, Publication
from services.assets.domain.refusals import AlreadyPublic, AssetNotFound, PublicationNotFound
from services.assets.domain.renditions import PublicRendition, Rendering, Rendition
from services.assets.repository import training
from services.assets.repository.library import ASSET_LOCKED
from services.assets.repository.renditions import OF_ASSET as RENDITIONS
from services.assets.repository.renditions import OF_PUBLICATIONS

PUBLICATION = Statement(
    text("SELECT * FROM publications WHERE id = :publication AND NOT taken_down"), Publication
)
OF_ASSET = Statement(
    text("SELECT * FROM publications WHERE asset = :asset AND account = :owner"), Publication
)
# Ids are random, so this order says nothing about when.
PAGE = Statement(
    text(
        "SELECT * FROM publications WHERE id > :after AND NOT taken_down "
        "AND (CAST(:owner AS uuid) IS NULL OR account = :owner) ORDER BY id LIMIT :most"
    ),
    Publication,
)
SINCE = Statement(
    text(
        """
        SELECT publication, likes, views, EXISTS (SELECT FROM training_withdrawn AS withdrawn
          WHERE withdrawn.publication = counts.publication) AS withdrawn
        FROM publication_counts AS counts WHERE publication = ANY(:publications)
        """
    )
)
LIKE = Statement(
    text(
        """
        WITH liked AS (
          INSERT INTO likes (account, publication)
          SELECT :owner, id FROM publications WHERE id = :publication AND NOT taken_down
          ON CONFLICT DO NOTHING RETURNING publication)
        UPDATE publication_counts SET likes = likes + 1 FROM liked
        WHERE publication_counts.publication = liked.publication
        """
    )
)
UNLIKE = Statement(
    text(
        """
        WITH unliked AS (
          DELETE FROM likes WHERE account = :owner AND publication = :publication RETURNING publication)
        UPDATE publication_counts SET likes = likes - 1 FROM unliked
        WHERE publication_counts.publication = unliked.publication
        """
    )
)
ANONYMISE = Statement(
    text(
        "UPDATE publications SET account = NULL, asset = NULL, attribution = NULL "
        "WHERE id = :publication AND account = :owner"
    )
)
COPIED = Statement(text("DELETE FROM copying WHERE publication = :publication AND NOT abandoned"))
ABANDON = Statement(
    text("UPDATE copying SET abandoned = TRUE WHERE publication = :publication RETURNING publication"), scalar
)
# Marked before the bytes go: whoever is late with a publication can't commit it any more.
ABANDONED = Statement(
    text("UPDATE copying SET abandoned = TRUE WHERE abandoned OR noted_at <= :before RETURNING publication"),
    scalar,
)
FORGET = Statement(text("DELETE FROM copying WHERE publication = ANY(:publications) AND abandoned"))
FIRST = UUID(int=0)


# Not settled, or not even noted.
UNSETTLED = Statement(
    text("SELECT NOT EXISTS (SELECT FROM renderings WHERE id = :asset AND due IS NULL)"), scalar
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A publication, and what came since: likes, views, renditions.

    It may not train a model if its owner objected since.
    """

    publication: Publication
    likes: int
    views: int
    training_eligible: bool
    renditions: tuple[PublicRendition, ...] = ()


class Publications:
    """What is public."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, publication: UUID) -> Shown:
        """What anyone may see; raises PublicationNotFound."""
        found = await self._db.first(PUBLICATION, publication=publication)
        if found is None:
            raise PublicationNotFound(publication=f"publications/{publication}")
        (shown,) = await self._counted([found])
        return shown

    async def page(self, after: UUID, most: int, owner: UUID | None) -> list[Shown]:
        """Up to `most` with ids after one (`FIRST` is before all); of anyone, if `owner` is None."""
        return await self._counted(await self._db.all(PAGE, after=after, most=most, owner=owner))

    async def of_asset(self, account: UUID, asset: UUID) -> Publication | None:
        """What was made public of a person's asset."""
        return await self._db.first(OF_ASSET, asset=asset, owner=account)

    async def note(self, publication: UUID, shelf: str, now: datetime) -> None:
        """Public bytes are about to be written for this publication, from a shelf."""
        row = Copying(publication=publication, shelf=shelf, noted_at=now, abandoned=False)
        await self._db.insert(row)

    async def publish(
        self, made: Publication, copied: Sequence[Rendition], request_id: str, request: Message
    ) -> UUID:
        """Commit a publication whose bytes are there; answers its id, or that which this request made before.

        `copied` are the renditions of its asset that are there as well.

        Raises AlreadyPublic, AssetNotFound if the asset went meanwhile, RequestIdReused, SubjectUnknown.
        """
        assert made.account is not None
        async with self._db.transaction() as tx:
            earlier = await tx.replay(made.account, request_id, request, result=made.name)
            if earlier is None:
                await self._commit(tx, made, made.account, copied)
        return made.id if earlier is None else UUID(earlier.removeprefix("publications/"))

    async def add(self, made: Publication, copied: Sequence[Rendition]) -> None:
        """Commit a publication as part of a larger act; raises AlreadyPublic, AssetNotFound."""
        assert made.account is not None
        async with self._db.transaction() as tx:
            await self._commit(tx, made, made.account, copied)

    async def _commit(
        self, tx: Transaction, made: Publication, owner: UUID, copied: Sequence[Rendition]
    ) -> None:
        await subjects.hold(tx, owner)
        if await training.objected(tx, owner):
            made.objected()
        if await tx.first(ASSET_LOCKED, asset=made.asset, owner=owner) is None:
            raise AssetNotFound(asset=f"assets/{made.asset}")
        if earlier := await tx.first(OF_ASSET, asset=made.asset, owner=owner):
            raise AlreadyPublic(asset=f"assets/{made.asset}", publication=earlier.name)
        if not await tx.execute(COPIED, publication=made.id):
            raise Contended  # swept away: it took too long to copy
        await tx.insert(made)
        await tx.insert(Counts(publication=made.id, likes=0, views=0))
        for rendition in copied:
            await tx.insert(PublicRendition.copied(made.id, rendition))
        # Whoever draws for the asset waits for its lock: what is not there now is shown later.
        there = await tx.all(RENDITIONS, asset=made.asset)
        more = len(there) > len(copied) or await tx.one(UNSETTLED, asset=made.asset)
        await tx.insert(Rendering.of_publication(made.id, self._db.clock.now() if more else None))

    async def like(self, account: UUID, publication: UUID) -> Shown:
        """Count a person's like once; raises PublicationNotFound, SubjectUnknown."""
        await self._db.execute(LIKE, owner=account, publication=publication)
        return await self.get(publication)

    async def unlike(self, account: UUID, publication: UUID) -> Shown:
        """Take a person's like back, if there is one; raises PublicationNotFound."""
        await self._db.execute(UNLIKE, owner=account, publication=publication)
        return await self.get(publication)

    async def anonymise(self, account: UUID, publication: UUID) -> Shown:
        """Forget whose it is; raises PublicationNotFound unless it is this person's."""
        if not await self._db.execute(ANONYMISE, owner=account, publication=publication):
            raise PublicationNotFound(publication=f"publications/{publication}")
        return await self.get(publication)

    async def abandon(self, publication: UUID) -> list[UUID]:
        """Its bytes come to nothing from now on, unless it is committed: then the answer is empty."""
        return await self._db.all(ABANDON, publication=publication)

    async def abandoned(self, before: datetime) -> list[UUID]:
        """Of what public bytes came to nothing, or were noted before a time and belong to no publication."""
        return await self._db.all(ABANDONED, before=before)

    async def forget(self, publications: Sequence[UUID]) -> None:
        """The bytes of these are gone."""
        await self._db.execute(FORGET, publications=list(publications))

    async def _counted(self, found: list[Publication]) -> list[Shown]:
        ids = [each.id for each in found]
        since = {row["publication"]: row for row in await self._db.all(SINCE, publications=ids)}
        renditions: dict[UUID, list[PublicRendition]] = {own: [] for own in ids}
        for rendition in await self._db.all(OF_PUBLICATIONS, publications=ids):
            renditions[rendition.publication].append(rendition)
        return [_shown(each, since[each.id], renditions[each.id]) for each in found]


def _shown(publication: Publication, since: Record, renditions: list[PublicRendition]) -> Shown:
    eligible = publication.training_eligible and not since["withdrawn"]
    return Shown(publication, since["likes"], since["views"], eligible, tuple(renditions))
