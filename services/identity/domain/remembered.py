"""What stays of somebody who deleted the account: what abuse prevention needs, and for a day the last mail.

Addresses and user names stand here as keyed hashes only. The key is the pepper of the month, in a
file outside of databases and backups; when that is destroyed, they say nothing any more.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import Text

from promises.erasing import Wanted
from promises.inventory import plain
from services.identity.domain.letters import Letter, MailKind, Occasion, write
from services.identity.domain.mails import GIVE_UP_AFTER, pause_after
from services.identity.domain.names import comparable
from services.identity.domain.rows import (
    FRAUD,
    MOMENT,
    RETAINED_EVENT,
    RETAINED_NAME,
    RETAINED_PLACE,
    RETAINED_RECIPIENT,
    Row,
)


class NameKind(StrEnum):
    """What a keyed hash is of."""

    ADDRESS = "ADDRESS"
    USERNAME = "USERNAME"


class RetainedName(Row, table=True):
    """The keyed hash of an address or a user name that was somebody's."""

    __tablename__ = "retained_names"

    id: UUID = plain("a random name", primary_key=True)
    pseudonym: UUID = plain("which rows belong together; nothing says whose they were")
    kind: NameKind = plain("one of two", Text)
    keyed_hash: bytes = RETAINED_NAME.column(index=True)
    until: datetime = plain("when the month's pepper is destroyed", MOMENT, index=True)

    @classmethod
    def of(cls, own: UUID, pseudonym: UUID, kind: NameKind, keyed: bytes, wanted: Wanted) -> Self:
        """What is kept of a name, until its month's pepper is destroyed."""
        until = FRAUD.ends(wanted.deleted_at) or wanted.deleted_at
        return cls(id=own, pseudonym=pseudonym, kind=kind, keyed_hash=keyed, until=until)


class RetainedSecurityEntry(Row, table=True):
    """A line of the security log of somebody who is gone: what, when, from which network."""

    __tablename__ = "retained_security_log"

    id: UUID = plain("a random name", primary_key=True)
    pseudonym: UUID = plain("which rows belong together; nothing says whose they were")
    at: datetime = RETAINED_EVENT.column(MOMENT)
    event: str = RETAINED_EVENT.column(Text)
    address: str = RETAINED_PLACE.column(Text)
    until: datetime = plain("when it ends", MOMENT, index=True)


class Farewell(Row, table=True):
    """The mail that confirms a deletion: the last row with the address, gone when it is sent."""

    __tablename__ = "retained_farewells"

    id: UUID = plain("a random name", primary_key=True)
    recipient: str = RETAINED_RECIPIENT.column(Text)
    create_time: datetime = plain("when the account was deleted", MOMENT, index=True)
    attempts: int = plain("how often it was handed over", default=0)
    due_at: datetime = plain("when to hand it over next", MOMENT, index=True)
    until: datetime = plain("when it is given up", MOMENT, index=True)

    @classmethod
    def to(cls, recipient: str, own: UUID, now: datetime) -> Self:
        """The farewell to an address, due at once."""
        until = now + GIVE_UP_AFTER
        return cls(id=own, recipient=recipient, create_time=now, attempts=0, due_at=now, until=until)

    @property
    def kind(self) -> MailKind:
        """Which letter it is."""
        return MailKind.ACCOUNT_DELETED

    def letter(self, public_url: str) -> Letter:
        """How it reads."""
        return write(self.kind, Occasion(self.create_time, ""), public_url)

    def pause(self) -> timedelta:
        """How long to wait after a failed attempt."""
        return pause_after(self.attempts)


def keyed_hash(pepper: bytes, kind: NameKind, name: str) -> bytes:
    """What is kept of an address or user name, as it is compared: HMAC-SHA256."""
    return hmac.digest(pepper, f"{kind} {comparable(name)}".encode(), "sha256")
