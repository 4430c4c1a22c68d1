"""What is idle, what its owner was told of it, and that something is used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from crafiq.assets.v1.events_pb2 import RemovalScheduled
from sqlalchemy import text

from chassis.db import Database, Queries, Record, Statement, Transaction, scalar
from promises import subjects
from promises.retention import ending, in_batches
from services.assets.domain.countdowns import AGAIN, NOTICES, TOGETHER, Countdown, to_tell
from services.assets.domain.library import NOTED_ONCE

KEPT = """
  (EXISTS (SELECT FROM pack_items WHERE pack_items.asset = assets.id)
   OR EXISTS (SELECT FROM publications WHERE publications.asset = assets.id AND NOT taken_down))
"""
# In order, so that two never wait for one another.
USED = Statement(
    text(
        """
        UPDATE assets SET idle_since = :now WHERE id IN (
          SELECT id FROM assets WHERE id = ANY(:assets) AND idle_since <= :noted
          ORDER BY id FOR NO KEY UPDATE)
        """
    )
)
# What is in a pack or public is used by that; noted before its time would come, so that it is not looked at
# again and again.
IN_USE = Statement(
    text(
        f"""
        UPDATE assets SET idle_since = :now WHERE id IN (
          SELECT id FROM assets WHERE idle_since <= :idle_by AND {KEPT}
          ORDER BY idle_since LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED)
        """  # noqa: S608  # our own words
    )
)
_COUNTS = "countdowns.asset = assets.id AND countdowns.since = assets.idle_since"
STOPPED = ending("countdowns", f"NOT EXISTS (SELECT FROM assets WHERE {_COUNTS})")
_COUNTED = "assets.id AS asset, assets.account, idle_since AS since, told, remove_at, notice, asked_at"
_UNKEPT = f"FROM assets LEFT JOIN countdowns ON {_COUNTS} WHERE NOT {KEPT}"
COUNTED = Statement(text(f"SELECT {_COUNTED} {_UNKEPT} AND assets.id = ANY(:assets)"))
IDLE = Statement(
    text(
        f"SELECT {_COUNTED} {_UNKEPT} AND assets.account = :owner "
        "AND idle_since <= :idle_by ORDER BY idle_since LIMIT 10000"
    )
)
# Whom it may be time to tell something; whether it is, their countdowns say.
OWNERS = Statement(
    text(
        f"""
        SELECT DISTINCT assets.account {_UNKEPT} AND idle_since <= :idle_by AND assets.account > :after
          AND CASE WHEN told IS NULL THEN idle_since <= :first_by
            WHEN asked_at IS NULL THEN told < :notices AND remove_at <= :second_by
            ELSE asked_at <= :again_by END
        ORDER BY assets.account LIMIT 100
        """
    ),
    scalar,
)
# An asset that is deleted at this moment is left out.
SAVE = Statement(
    text(
        """
        INSERT INTO countdowns (asset, account, since, told, remove_at, notice, asked_at)
        SELECT id, account, counted.since, counted.told, counted.remove_at, :notice, :asked_at
        FROM unnest(CAST(:assets AS uuid[]), CAST(:since AS timestamptz[]), CAST(:told AS int[]),
          CAST(:remove_at AS timestamptz[])) AS counted(asset, since, told, remove_at)
        JOIN assets ON assets.id = counted.asset ORDER BY id FOR KEY SHARE OF assets
        ON CONFLICT (asset) DO UPDATE SET since = excluded.since, told = excluded.told,
          remove_at = excluded.remove_at, notice = excluded.notice, asked_at = excluded.asked_at
        """
    )
)
TOLD_BY = Statement(
    text("SELECT * FROM countdowns WHERE account = :owner AND notice = :notice ORDER BY asset FOR UPDATE"),
    Countdown,
)
OVERDUE = Statement(
    text(
        "SELECT account, asset FROM countdowns WHERE told = :told AND remove_at <= :now AND asset > :after "
        "ORDER BY asset LIMIT 100"
    ),
    lambda record: (record["account"], record["asset"]),
)


async def used(queries: Queries, assets: Sequence[UUID | None]) -> None:
    """Somebody did something with these: what counts down for them counts no more."""
    now = queries.clock.now()
    if assets:
        await queries.execute(USED, assets=list(assets), now=now, noted=now - NOTED_ONCE)


async def over(tx: Transaction, asset: UUID) -> bool:
    """Whether an asset that `tx` holds goes now: because nobody uses it, and its owner was told so."""
    counted = [
        Countdown(**each) for each in await tx.all(COUNTED, assets=[asset]) if each["told"] is not None
    ]
    return any(each.over(tx.clock.now()) for each in counted)


async def heard(tx: Transaction, account: UUID, notice: UUID, sent_at: datetime) -> None:
    """A notice has gone out. One that nobody waits for, or not any more, changes nothing."""
    told = await tx.all(TOLD_BY, owner=account, notice=notice)
    for countdown in told:
        countdown.hear(sent_at)
    await _save(tx, told, None, None)


class Countdowns:
    """Of assets that may be idle for so long at most."""

    def __init__(self, db: Database, most: timedelta) -> None:
        self._db, self._most = db, most

    async def removals(self, assets: Sequence[UUID]) -> dict[UUID, datetime]:
        """When each of these goes, as things are; what is in a pack or public does not, and is left out."""
        now = self._db.clock.now()
        rows = [self._counted(record) for record in await self._db.all(COUNTED, assets=list(assets))]
        return {row.asset: row.ends(now) for row in rows}

    async def tidy(self) -> None:
        """Note what packs and the public use, and forget countdowns that count no more."""
        now = self._db.clock.now()
        await in_batches(self._db, IN_USE, now=now, idle_by=self._idle_by(now))
        await in_batches(self._db, STOPPED)

    async def owners(self, after: UUID) -> list[UUID]:
        """Up to 100 people, by id, whom it may be time to tell something."""
        now = self._db.clock.now()
        return await self._db.all(
            OWNERS, after=after, idle_by=self._idle_by(now), first_by=now - self._most + NOTICES[0],
            notices=len(NOTICES), second_by=now + NOTICES[1], again_by=now - AGAIN,
        )  # fmt: skip

    async def tell(self, account: UUID) -> None:
        """Announce what of a person's is going to be removed, if it is time to. Raises SubjectUnknown."""
        now, notice = self._db.clock.now(), self._db.new_id()
        async with self._db.transaction() as tx:
            await subjects.hold(tx, account)
            records = await tx.all(IDLE, owner=account, idle_by=self._idle_by(now))
            told = to_tell([self._counted(record) for record in records], now)
            for countdown in told:
                countdown.ask(notice, now)
            await _save(tx, told, notice, now)
            if told:
                tx.emit(_scheduled(account, notice, told))

    async def overdue(self, after: UUID) -> list[tuple[UUID, UUID]]:
        """Up to 100 (account, asset), by the asset's id, whose time may be over."""
        return await self._db.all(OVERDUE, told=len(NOTICES), now=self._db.clock.now(), after=after)

    def _idle_by(self, now: datetime) -> datetime:
        """Since when that is idle, at least, of which somebody may be told now."""
        return now - self._most + NOTICES[0] + TOGETHER

    def _counted(self, record: Record) -> Countdown:
        if record["told"] is None:
            return Countdown.begin(record["asset"], record["account"], record["since"], self._most)
        return Countdown(**record)


async def _save(
    tx: Transaction, told: Sequence[Countdown], notice: UUID | None, asked_at: datetime | None
) -> None:
    if told:
        await tx.execute(
            SAVE, assets=[each.asset for each in told], since=[each.since for each in told],
            told=[each.told for each in told], remove_at=[each.remove_at for each in told],
            notice=notice, asked_at=asked_at,
        )  # fmt: skip


def _scheduled(account: UUID, notice: UUID, told: Sequence[Countdown]) -> RemovalScheduled:
    event = RemovalScheduled(account=f"accounts/{account}", notice=f"notices/{notice}", count=len(told))
    event.remove_time.FromDatetime(min(each.remove_at for each in told))
    return event
