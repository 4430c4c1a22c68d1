"""What people allow: a ledger of changes, each committed to in a chain that its person can verify.

The commitment of a change is the SHA-256 of its *statement*, which names the account, the change, the
text that was shown, the commitment before, and a random salt. Who has the row can recompute it; who has
only the commitment learns nothing from it. So the chain of commitments can stay when the person is
erased (nothing can be altered or left out afterwards without breaking it), while rows and salts go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import LargeBinary, Text

from chassis.errors import FailedPrecondition
from promises.inventory import DELETE, Basis, plain, subject
from services.privacy.domain.documents import DocumentKind, Posting
from services.privacy.domain.row import AGREED, MOMENT, Row

SALT_BYTES = 32
NOTHING_BEFORE = bytes(32)
"""What the first change of a person comes after."""


class ConsentKind(StrEnum):
    """What can be allowed and withdrawn."""

    MARKETING_EMAIL = "MARKETING_EMAIL"
    PUBLIC_OUTPUT_TRAINING = "PUBLIC_OUTPUT_TRAINING"

    @property
    def basis(self) -> Basis:
        """Why it may be done: because it was allowed, or in our interest unless objected to (Art. 21)."""
        if self is ConsentKind.MARKETING_EMAIL:
            return Basis.CONSENT
        return Basis.LEGITIMATE_INTERESTS

    @property
    def granted_by_default(self) -> bool:
        """What stands before the person decides."""
        return self.basis is not Basis.CONSENT

    @property
    def text_kind(self) -> DocumentKind:
        """The document that people are shown."""
        return DocumentKind(f"{self}_TEXT")


class Commitment(Row, table=True):
    """A link of somebody's chain. Without the salt it can't be told whose, or of what."""

    __tablename__ = "commitments"

    commitment: bytes = plain("a salted hash; the salt goes with its person", LargeBinary, primary_key=True)
    previous: bytes = plain("a salted hash, of the change before", LargeBinary)
    recorded_on: date = plain("the day")


class ConsentChange(Row, table=True):
    """A person allowed something, or withdrew it."""

    __tablename__ = "consent_changes"

    account: UUID = subject(DELETE, primary_key=True)
    number: int = plain("the order of a person's changes, from 1", primary_key=True)
    kind: ConsentKind = AGREED.column(Text)
    granted: bool = AGREED.column()
    text_version: str = AGREED.column()
    text_sha256: str = AGREED.column()
    changed_at: datetime = AGREED.column(MOMENT)
    previous: bytes = AGREED.column(LargeBinary)
    salt: bytes = AGREED.column(LargeBinary)
    commitment: bytes = AGREED.column(LargeBinary, foreign_key="commitments.commitment", unique=True)

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"consents/{self.number}"

    @property
    def statement(self) -> str:
        """What is committed to, line by line; times in UTC to the microsecond."""
        at = self.changed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return "\n".join(
            [
                "crafiq consent 1",
                f"account accounts/{self.account}",
                f"change {self.number}",
                f"{'granted' if self.granted else 'withdrawn'} {self.kind}",
                f"text {self.text_version} {self.text_sha256}",
                f"at {at}",
                f"after {self.previous.hex()}",
                f"salt {self.salt.hex()}",
            ]
        )


class ConsentTextNotShown(FailedPrecondition):
    """A consent to a text other than the one in force would be a consent to something else."""

    sentence = (
        "To allow {kind}, show its text of GET /v1/consents and send the textSha256 given there:"
        " it has changed, or was left out."
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants: to allow or to withdraw, having seen the text of this hash ("" for none)."""

    kind: ConsentKind
    granted: bool
    text_sha256: str

    def check(self, text: Posting) -> None:
        """Raises ConsentTextNotShown if something is to be allowed whose text is not the one shown."""
        if self.granted and self.text_sha256 != text.sha256:
            raise ConsentTextNotShown(kind=self.kind)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a person decided so far. `latest`: the last change of each kind that was ever changed."""

    account: UUID
    latest: Sequence[ConsentChange]

    def of(self, kind: ConsentKind) -> ConsentChange | None:
        """The last change of a kind."""
        return next((change for change in self.latest if change.kind is kind), None)

    def granted(self, kind: ConsentKind) -> bool:
        """What stands."""
        last = self.of(kind)
        return kind.granted_by_default if last is None else last.granted

    def next(self, wish: Wish, text: Posting, at: datetime, salt: bytes) -> ConsentChange:
        """The change that a wish leads to: the last one again, if it says the same of the same text."""
        last = self.of(wish.kind)
        if last is not None and (last.granted, last.text_sha256) == (wish.granted, text.sha256):
            return last
        head = max(self.latest, key=lambda change: change.number, default=None)
        change = ConsentChange(
            account=self.account,
            number=head.number + 1 if head else 1,
            kind=wish.kind,
            granted=wish.granted,
            text_version=text.version,
            text_sha256=text.sha256,
            changed_at=at,
            previous=head.commitment if head else NOTHING_BEFORE,
            salt=salt,
        )
        change.commitment = hashlib.sha256(change.statement.encode()).digest()
        return change
