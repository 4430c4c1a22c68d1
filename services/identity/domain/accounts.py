"""Accounts: what a person is here, and what may happen to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, Text, func, text
from sqlmodel import col

from promises.inventory import DELETE, plain, subject
from services.identity.domain.names import display_name, user_name
from services.identity.domain.refusals import EtagMismatch, UpdateMaskInvalid
from services.identity.domain.rows import EMAIL, LINK, MILESTONE, MOMENT, NAME, PASSWORD, Row

# A sign-up that nobody confirms is gone after this, and the mailed link ends with it. That it was asked
# for is remembered as long, whatever became of it: asking again must not tell.
UNVERIFIED_LIFETIME = timedelta(hours=24)


class AccountState(StrEnum):
    """Whether an account can be used."""

    UNVERIFIED = "UNVERIFIED"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class AcceptedVersions:
    """A version of the privacy policy and one of the terms, as a pair."""

    policy: str
    terms: str


class Account(Row, table=True):
    """One person's account; also the subject that everything personal here refers to.

    Several unverified ones may stand side by side for one address: whoever signed up first proves
    nothing, only the mailbox does. Among the active, address and user name are unique.
    """

    __tablename__ = "accounts"

    account: UUID = plain("a random name", primary_key=True)
    state: AccountState = plain("whether the account can be used", Text)
    email: str = EMAIL.column(Text)
    username: str | None = NAME.column(Text, default=None)
    display_name: str | None = NAME.column(Text, default=None)
    adult_confirmed_at: datetime = MILESTONE.column(MOMENT)
    policy_version: str = MILESTONE.column(Text)
    terms_version: str = MILESTONE.column(Text)
    create_time: datetime = MILESTONE.column(MOMENT)
    verified_at: datetime | None = MILESTONE.column(MOMENT, default=None)
    revision: int = plain("counts the changes, for the etag", default=1)

    @property
    def name(self) -> str:
        """`accounts/{uuid}`."""
        return f"accounts/{self.account}"

    @property
    def etag(self) -> str:
        """Changes with every change (AIP-154)."""
        return f'"{self.revision}"'

    @property
    def unverified_until(self) -> datetime:
        """When the sign-up is purged unless its address is confirmed."""
        return self.create_time + UNVERIFIED_LIFETIME

    def verify(self, now: datetime, *, username_is_free: bool) -> None:
        """The address is confirmed. A user name that somebody took in the meantime is dropped:
        it was never reserved, and a confirmed address must not fail on it."""
        self.state = AccountState.ACTIVE
        self.verified_at = now
        if not username_is_free:
            self.username = None
        self.revision += 1

    def change(self, wanted: Profile, paths: Iterable[str], etag: str) -> None:
        """Change the profile: `paths` as a field mask has them; none stands for those that are set.

        Raises EtagMismatch, UpdateMaskInvalid, NameNotAllowed.
        """
        if etag and etag != self.etag:
            raise EtagMismatch
        for path in tuple(paths) or wanted.set_fields():
            if path == "username":
                self.username = user_name(wanted.username)
            elif path == "display_name":
                self.display_name = display_name(wanted.display_name)
            else:
                raise UpdateMaskInvalid(path=path)
        self.revision += 1


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person may change about the account; empty stands for none."""

    username: str
    display_name: str

    def set_fields(self) -> tuple[str, ...]:
        """The names of the fields that are not empty."""
        return tuple(name for name in ("username", "display_name") if getattr(self, name))


_ACTIVE = text(f"state = '{AccountState.ACTIVE}'")
Index("ix_accounts_address", func.lower(Account.email))
Index("ux_accounts_active_address", func.lower(Account.email), unique=True, postgresql_where=_ACTIVE)
Index("ux_accounts_active_username", func.lower(Account.username), unique=True, postgresql_where=_ACTIVE)
Index(
    "ix_accounts_unverified",
    col(Account.create_time),
    postgresql_where=text(f"state = '{AccountState.UNVERIFIED}'"),
)


class Credential(Row, table=True):
    """What an account is signed in to with: an Argon2id hash (PHC string)."""

    __tablename__ = "credentials"

    account: UUID = subject(DELETE, primary_key=True)
    password_hash: str = PASSWORD.column(Text)


class Verification(Row, table=True):
    """A mailed link that confirms an address; only the keyed hash of its token is kept."""

    __tablename__ = "verifications"

    token_hash: bytes = LINK.column(primary_key=True)
    account: UUID = subject(DELETE)
    expires_at: datetime = plain("when the link ends", MOMENT)

    def valid(self, now: datetime) -> bool:
        """Whether the link still works. It may be opened again by the one whose account it made."""
        return now < self.expires_at


class SignUpRequest(Row, table=True):
    """A sign-up that was answered, so that asking again answers the same (AIP-155).

    It has a table of its own because nobody is signed in yet: the request's id alone is the key.
    It belongs to no account: a row that went with one would tell, to who asks again, that it has gone.
    """

    __tablename__ = "sign_up_requests"

    request_id: UUID = plain("a random name chosen by the client", primary_key=True)
    account: UUID | None = plain(
        "empty: the processes before this one still name it, and it goes when none runs", default=None
    )
    body_hash: bytes = plain("a keyed hash of the request, its id among it: unreadable without the key")
    create_time: datetime = plain("when it was answered", MOMENT, index=True)
