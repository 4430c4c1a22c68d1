"""Documents that were posted, and who accepted which pair.

A posted text is immutable. Policy and terms are accepted as a pair; which pair is in force is a matter
of time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest
from uuid import UUID

from sqlalchemy import Text, UniqueConstraint

from chassis.errors import NotFound
from promises.inventory import DELETE, plain, subject
from services.privacy.domain.row import AGREED, MOMENT, Row

MOMENT_BEFORE = timedelta(microseconds=1)
POSTED = "posted for everyone to read"


class DocumentKind(StrEnum):
    """Which document."""

    POLICY = "POLICY"
    TERMS = "TERMS"
    MARKETING_EMAIL_TEXT = "MARKETING_EMAIL_TEXT"
    PUBLIC_OUTPUT_TRAINING_TEXT = "PUBLIC_OUTPUT_TRAINING_TEXT"


class Manner(StrEnum):
    """How an agreement was given."""

    SIGN_UP = "SIGN_UP"


class Document(Row, table=True):
    """One version of a document, as it was posted."""

    __tablename__ = "documents"

    kind: DocumentKind = plain(POSTED, Text, primary_key=True)
    version: str = plain(POSTED, primary_key=True)
    text: str = plain(POSTED)
    sha256: str = plain("of the text's bytes, lower-case hex")
    effective_at: datetime = plain("from when it applies", MOMENT)
    material: bool = plain("whether people had to be told of the change")

    def same_as(self, other: Document) -> bool:
        """Whether text, date and flag are the other's."""
        return (self.text, self.sha256, self.effective_at, self.material) == (
            other.text, other.sha256, other.effective_at, other.material,
        )  # fmt: skip


class Acceptance(Row, table=True):
    """A person agreed to a pair of policy and terms; the hashes say to which texts."""

    __tablename__ = "acceptances"
    __table_args__ = (
        UniqueConstraint("account", "policy_version", "terms_version", name="uq_acceptances_pair"),
    )

    id: UUID = plain("a random id", primary_key=True)
    account: UUID = subject(DELETE, index=False)
    policy_version: str = AGREED.column()
    terms_version: str = AGREED.column()
    policy_sha256: str = AGREED.column()
    terms_sha256: str = AGREED.column()
    accepted_at: datetime = AGREED.column(MOMENT)
    manner: Manner = AGREED.column(Text)


class PolicyVersionUnknown(NotFound):
    """There is no such version."""

    sentence = "There is no privacy policy {version}; GET /v1/policy/versions lists those there are."


class NothingInForce(NotFound):
    """No version of it applies yet."""

    sentence = "This is not in force yet; GET /v1/policy/versions lists what will be."


class PairUnknown(NotFound):
    """Somebody accepted what was never posted here."""

    sentence = "Policy {policy} and terms {terms} were not both posted: post them, then replay the message."


class PostedTextChangedError(ValueError):
    """A packaged document differs from what was posted under its version. The service must not start."""

    def __init__(self, kind: DocumentKind, version: str) -> None:
        super().__init__(
            f"{kind} {version} was posted with another text, date or flag than the packaged one has."
            " What was posted is never edited: restore the file, and post the change as a new version in"
            " documents/versions.toml."
        )


@dataclass(frozen=True, slots=True)
class Posting:
    """A posted document without its text."""

    kind: DocumentKind
    version: str
    sha256: str
    effective_at: datetime
    material: bool

    @property
    def order(self) -> tuple[datetime, str, str]:
        """By when it took effect."""
        return self.effective_at, self.kind, self.version


def pair_of(posted: Sequence[Posting], now: datetime, version: str = "") -> tuple[Posting, Posting]:
    """The policy and the terms in force at `now`; with a `version`, that policy and the last terms beside it.

    `posted` are all that there are. Raises PolicyVersionUnknown, NothingInForce.
    """
    policies = sorted((p for p in posted if p.kind is DocumentKind.POLICY), key=lambda p: p.order)
    terms = [p for p in posted if p.kind is DocumentKind.TERMS]
    if not version:
        return newest(policies, now), newest(terms, now)
    for policy, successor in zip_longest(policies, policies[1:]):
        if policy.version == version:
            until = now if successor is None else successor.effective_at - MOMENT_BEFORE
            return policy, newest(terms, max(policy.effective_at, min(now, until)))
    raise PolicyVersionUnknown(version=version)


def newest(postings: Sequence[Posting], now: datetime) -> Posting:
    """The posting of one kind that is in force at `now`; raises NothingInForce."""
    in_force = [p for p in postings if p.effective_at <= now]
    if not in_force:
        raise NothingInForce
    return max(in_force, key=lambda p: p.order)
