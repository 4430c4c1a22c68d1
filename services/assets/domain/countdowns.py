"""What nobody uses and nobody put into a pack goes, after its owner was told twice (policy, 9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import DateTime, ForeignKeyConstraint

from promises.inventory import DELETE, plain, subject
from services.assets.domain.rows import CAME, NAMES, Row

NOTICES = (timedelta(days=30), timedelta(days=7))
"""How long before an asset goes its owner is told, at least."""
TOGETHER = timedelta(days=7)
"""Who is told of one is told of what is due so soon after it as well: a mail a week, not one a day."""
AGAIN = timedelta(days=2)
"""A notice that did not go out by then is asked for anew."""


class Countdown(Row, table=True):
    """An asset is going to be removed, unless it is used; gone with it.

    It counts as long as the asset is idle since `since`, and in no pack, and not public: whoever uses
    the asset need not know of this row. `told`: how many notices have gone out; `notice`: the one that was
    asked for at `asked_at` and has not.
    """

    __tablename__ = "countdowns"
    __table_args__ = (
        ForeignKeyConstraint(["asset"], ["assets.id"], "fk_countdowns_asset", ondelete="CASCADE"),
    )

    asset: UUID = plain(NAMES, primary_key=True)
    account: UUID = subject(DELETE)
    since: datetime = CAME.column(DateTime(timezone=True))
    told: int = plain("a number")
    remove_at: datetime = CAME.column(DateTime(timezone=True))
    notice: UUID | None = plain("chosen at random", default=None)
    asked_at: datetime | None = plain("when a notice was asked for", DateTime(timezone=True), default=None)

    @classmethod
    def begin(cls, asset: UUID, account: UUID, since: datetime, most: timedelta) -> Self:
        """Of an asset that may be idle for so long at most, and of which nobody was told."""
        return cls(asset=asset, account=account, since=since, told=0, remove_at=since + most)

    def ends(self, now: datetime) -> datetime:
        """When the asset goes, if nothing happens: never before the notices that are still to go out."""
        if self.told == len(NOTICES):
            return self.remove_at
        return max(self.remove_at, now + NOTICES[self.told])

    def over(self, now: datetime) -> bool:
        """Whether it goes now."""
        return self.told == len(NOTICES) and self.remove_at <= now

    def due(self, now: datetime) -> bool:
        """Whether its owner is to be told, or told again because that notice did not go out."""
        if self.asked_at is not None:
            return self.asked_at + AGAIN <= now
        return self.told < len(NOTICES) and self.remove_at - NOTICES[self.told] <= now

    def ask(self, notice: UUID, now: datetime) -> None:
        """Its owner is going to be told by this notice."""
        self.notice, self.asked_at, self.remove_at = notice, now, self.ends(now)

    def hear(self, sent_at: datetime) -> None:
        """The notice has gone out: from then on the time runs that it gives."""
        self.remove_at = self.ends(sent_at)
        self.told += 1
        self.notice = self.asked_at = None


def to_tell(countdowns: Sequence[Countdown], now: datetime) -> list[Countdown]:
    """Of which of their assets a person is told now: of none, unless a notice of one is due."""
    if not any(each.due(now) for each in countdowns):
        return []
    soon = now + TOGETHER
    return [each for each in countdowns if each.due(now) or (each.notice is None and each.due(soon))]
