"""Sessions and their rotating refresh tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, Text
from sqlmodel import col

from promises.inventory import DELETE, plain, subject
from services.identity.domain.keys import ACCESS_LIFETIME, CLOCK_SKEW
from services.identity.domain.rows import MOMENT, SESSION_DEVICE, SESSION_TOKEN, SESSION_USE, Row

SLIDING_LIFETIME = timedelta(days=30)
ABSOLUTE_LIFETIME = timedelta(days=90)
# Two tabs that refresh at once show the same token within moments; a thief comes later.
GRACE = timedelta(seconds=10)
REAUTH_LIFETIME = timedelta(minutes=5)


class Session(Row, table=True):
    """Somewhere a person is signed in; the row goes when the session ends."""

    __tablename__ = "sessions"

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE, index=False)
    device: str = SESSION_DEVICE.column(Text)
    create_time: datetime = SESSION_USE.column(MOMENT)
    last_used_time: datetime = SESSION_USE.column(MOMENT)
    expires_at: datetime = plain("when it ends unless it is used", MOMENT, index=True)

    @classmethod
    def begin(cls, session: UUID, account: UUID, device: str, now: datetime) -> Session:
        """A new session, for 30 days from each use and 90 days in all."""
        return cls(
            id=session, account=account, device=device, create_time=now, last_used_time=now,
            expires_at=now + SLIDING_LIFETIME,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """`sessions/{uuid}`."""
        return f"sessions/{self.id}"

    def use(self, now: datetime) -> None:
        """The session was refreshed."""
        self.last_used_time = now
        self.expires_at = min(now + SLIDING_LIFETIME, self.create_time + ABSOLUTE_LIFETIME)


def tokens_end(now: datetime) -> datetime:
    """By when every access token signed until `now` has ended, whoever's clock is asked."""
    return now + ACCESS_LIFETIME + CLOCK_SKEW


Index("ix_sessions_newest", col(Session.account), col(Session.create_time).desc(), col(Session.id).desc())


class Showing(StrEnum):
    """What it means that a refresh token is shown."""

    FIRST = "FIRST"
    """It is the latest one: it is exchanged for its successor."""
    AGAIN = "AGAIN"
    """Another tab was faster: it gets the same successor."""
    STOLEN = "STOLEN"
    """It was exchanged a while ago: two parties have it, and the session ends."""


class RefreshToken(Row, table=True):
    """One refresh token of a session's chain; only its keyed hash is kept.

    `successor_seed` makes, with the token itself and the key, the token that followed.
    """

    __tablename__ = "refresh_tokens"

    token_hash: bytes = SESSION_TOKEN.column(primary_key=True)
    account: UUID = subject(DELETE)
    session: UUID = plain("its session", foreign_key="sessions.id", ondelete="CASCADE", index=True)
    expires_at: datetime = plain("when it ends", MOMENT, index=True)
    rotated_at: datetime | None = plain("when it was exchanged", MOMENT, default=None)
    successor_seed: bytes | None = SESSION_TOKEN.column(default=None)

    def shown(self, now: datetime) -> Showing:
        """What it means that the token is shown now."""
        if self.rotated_at is None:
            return Showing.FIRST
        return Showing.AGAIN if now <= self.rotated_at + GRACE else Showing.STOLEN

    def rotate(self, seed: bytes, now: datetime) -> None:
        """Exchange it."""
        self.rotated_at, self.successor_seed = now, seed
