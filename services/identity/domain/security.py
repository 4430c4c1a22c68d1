"""The security log, and limits on guessing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlmodel import col

from promises.inventory import DELETE, plain, subject
from services.identity.domain.rows import LOGGED_ADDRESS, LOGGED_DEVICE, LOGGED_EVENT, MOMENT, Row


class SecurityEvent(StrEnum):
    """What the security log knows of."""

    SIGNED_UP = "SIGNED_UP"
    ADDRESS_CONFIRMED = "ADDRESS_CONFIRMED"
    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    SIGNED_OUT = "SIGNED_OUT"
    SESSION_REVOKED = "SESSION_REVOKED"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105 - the name of an event
    REAUTHENTICATED = "REAUTHENTICATED"
    REAUTHENTICATION_FAILED = "REAUTHENTICATION_FAILED"


class SecurityEntry(Row, table=True):
    """One line of an account's security log: 12 months, the address in full for 30 days."""

    __tablename__ = "security_log"

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE, index=False)
    at: datetime = LOGGED_EVENT.column(MOMENT, index=True)
    event: SecurityEvent = LOGGED_EVENT.column(Text)
    address: str = LOGGED_ADDRESS.column(Text)
    device: str = LOGGED_DEVICE.column(Text)
    session: UUID | None = plain("the session's random name", default=None)


Index("ix_security_log_newest", col(SecurityEntry.account), col(SecurityEntry.at).desc())
# What the sweep has still to make coarse.
Index(
    "ix_security_log_full_address",
    col(SecurityEntry.at),
    postgresql_where=text("address <> '' AND position('/' in address) = 0"),
)


class Throttle(Row, table=True):
    """How often something was tried; kept until its hour and the pause at the end of it are over."""

    __tablename__ = "throttles"

    key: bytes = plain("a keyed hash of what is limited, unreadable without the key", primary_key=True)
    attempts: int = plain("how often in this window")
    since: datetime = plain("when the window began", MOMENT)
    until: datetime = plain("when it may be tried again", MOMENT, index=True)


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` attempts in a `window`; after each further one a pause that begins with `pause`
    seconds and doubles up to `longest`."""

    purpose: str
    free: int
    window: timedelta
    pause: timedelta
    longest: timedelta


_HOUR, _MINUTE, _SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def _guesses(purpose: str) -> Limit:
    """Guesses at a password: 22 an hour."""
    return Limit(purpose, 10, _HOUR, _SECOND, 15 * _MINUTE)


# docs/adr/0011-guesses-are-counted-by-network.md. Of an address, from one network; and from all of
# them together, which takes ten networks to use up and then lets one in each minute.
SIGN_INS = _guesses("sign-in")
SIGN_INS_ANYWHERE = Limit("sign-in anywhere", 200, _HOUR, _SECOND, _MINUTE)
# Of an account: nobody but who is signed in to it can use this up.
PROOFS = _guesses("proof")
# Of a sign-up: nobody without its mailed token can use this up.
CONFIRMATIONS = _guesses("confirmation password")
# To a stranger's mailbox anyone can have mail sent by signing up with its address.
CONFIRMATION_MAILS = Limit("confirmation", 10, _HOUR, _HOUR, _HOUR)
SIGN_UP_NOTICES = Limit("notice", 1, _HOUR, _HOUR, _HOUR)
RESENT_MAILS = Limit("resend", 1, _MINUTE, _MINUTE, _MINUTE)
