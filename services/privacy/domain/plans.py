"""What deleting an account would do, as it is shown to its owner and approved by them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import FailedPrecondition
from promises.inventory import DELETE, Basis, Category, Declaration, Keep, Purpose, plain, subject
from services.privacy.domain.row import MOMENT, Row

PLAN_LIVES = timedelta(hours=24)
PLANNED = Declaration(
    Category.ACTIVITY, Purpose.RIGHTS, Basis.LEGAL_OBLIGATION, Keep.until("a day later", PLAN_LIVES), DELETE
)
Bucket = tuple[str, str]
"""A fate and a ground; the ground is empty where nothing is kept."""


class DeletionPlanChanged(FailedPrecondition):
    """Deleting would do something else by now than what was approved."""

    sentence = (
        "Since you looked, what deleting your account does has changed ({changes}): look at"
        " POST /v1/accounts/me:previewDeletion again and, if you agree, send its planHash {planHash}."
    )


class DeletionPlanUnknown(FailedPrecondition):
    """Nobody was shown what they approve."""

    sentence = (
        "Ask POST /v1/accounts/me:previewDeletion first and send the planHash that it answers;"
        " a plan is good for a day."
    )


class Plan(Row, table=True):
    """A plan as it was shown. `buckets`: what each holder that answered would do, [fate, ground] each."""

    __tablename__ = "erasure_plans"

    account: UUID = subject(DELETE, primary_key=True)
    plan_hash: str = plain("a hash of fates and grounds, the same for many people", primary_key=True)
    buckets: dict[str, Any] = PLANNED.column(JSONB)
    made_at: datetime = PLANNED.column(MOMENT, index=True)

    @classmethod
    def of(cls, account: UUID, found: Fates, now: datetime) -> Self:
        """What is kept of a plan."""
        buckets = {holder: [list(bucket) for bucket in each] for holder, each in found.by_holder.items()}
        return cls(account=account, plan_hash=found.hash, buckets=buckets, made_at=now)

    @property
    def fates(self) -> Fates:
        """What was shown."""
        shown = {
            name: tuple((each[0], each[1]) for each in buckets) for name, buckets in self.buckets.items()
        }
        return Fates(shown)

    def with_current(self, current: Fates) -> Fates:
        """What would be done: what holders say now, and for those that are silent what they said then."""
        return Fates({**self.fates.by_holder, **current.by_holder})


@dataclass(frozen=True, slots=True)
class Fates:
    """Which fates and grounds there are, by holder."""

    by_holder: Mapping[str, Sequence[Bucket]]

    @property
    def all(self) -> set[Bucket]:
        """Of all holders together."""
        return {bucket for buckets in self.by_holder.values() for bucket in buckets}

    @property
    def hash(self) -> str:
        """SHA-256, lower-case hex: of fates and grounds, not of counts, dates or holders."""
        lines = "\n".join(f"{fate} {ground}".rstrip() for fate, ground in sorted(self.all))
        return hashlib.sha256(f"crafiq deletion plan 1\n{lines}\n".encode()).hexdigest()

    def instead_of(self, before: Fates) -> DeletionPlanChanged:
        """The refusal that says what is new and what is no more."""
        violations = [*_named(self.all - before.all, "is new"), *_named(before.all - self.all, "is no more")]
        changes = "; ".join(f"{what} {how}" for what, how in violations)
        return DeletionPlanChanged(planHash=self.hash, changes=changes, violations=violations)


def _named(buckets: Iterable[Bucket], how: str) -> list[tuple[str, str]]:
    return [(f"{fate} {ground}".rstrip(), how) for fate, ground in sorted(buckets)]


_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n")


def sentences_with(policy: str, *words: str) -> str:
    """The policy's own sentences that have these words, one for each; empty if none has."""
    sentences = [sentence.strip().removeprefix("•").strip() for sentence in _SENTENCE_ENDS.split(policy)]
    found = (next((each for each in sentences if wanted and wanted in each), "") for wanted in words)
    return " ".join(filter(None, found))


FATE_WORDS = {
    "ERASED_NOW": ("We immediately delete your profile data and private content",),
    "ANONYMISED": ("Content you set to public remains available", "Copies shared or embedded by others"),
    "IN_BACKUPS_UNTIL": ("Deleted data may remain in encrypted backups", "Backups are not used for active"),
}
"""Words by which the policy's sentences on a fate are found; those on what is retained by its ground."""
TOMBSTONE_GROUND = (
    "so that a restored backup brings nothing back: the account's number, which nothing resolves any more"
)
OUR_WORDS = {
    "until the mail that confirms the deletion is sent": (
        "The policy does not speak of this: we write to you once more, to confirm that your account was"
        " deleted; your address is kept until that mail is sent, a day at most, and for nothing else."
    ),
    TOMBSTONE_GROUND: (
        "The policy does not speak of this: for as long as backups live we keep a list of the numbers of"
        " deleted accounts, outside of all databases, so that whatever is restored is deleted again."
    ),
}
"""What is said of grounds that are not in the policy. A test finds whoever keeps something on another."""


def words_on(fate: str, ground: str, policy: str) -> str:
    """What a plan says of a fate: the policy's sentences; ours, which say so, where it has none."""
    return sentences_with(policy, *FATE_WORDS.get(fate, (ground,))) or OUR_WORDS.get(ground, "")
