"""What is heard of holders, and comes of asking them: what it means, and when to ask again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from crafiq.promises.v1 import promises_pb2

from services.privacy.domain import HolderCase, HolderState

PATIENT = timedelta(seconds=1)
Found: TypeAlias = "promises_pb2.Findings | str"
"""What a holder finds, or why it does not say."""


@dataclass(slots=True)
class News:
    """What was heard of a case and is not written down, which the next look does: who answered, and when.

    `silent`: who has not, as far as is known here. Whoever dies with it asks again, as of those who are late.
    """

    account: UUID
    silent: set[str]
    heard: dict[str, datetime] = field(default_factory=dict)


def written(
    holders: Sequence[HolderCase], causes: Mapping[str, str], found: Mapping[str, Found], now: datetime
) -> Sequence[HolderCase]:
    """What came of asking those that were late, and those that had answered and have not moved since."""
    for each in holders:
        if each.holder in causes and each.state is HolderState.WAITING:
            each.remind(causes[each.holder], now)
        elif each.holder in found and each.state is HolderState.ANSWERED:
            _write(each, found[each.holder], now)
    return holders


def is_clean(found: Found) -> bool:
    """Whether a holder has nothing, is done, and has nothing to say any more."""
    if isinstance(found, str):
        return False
    return not found.left and not found.waiting and found.standing.progress == promises_pb2.FINISHED


def verified(holders: Sequence[HolderCase]) -> bool:
    """Whether of all of them nothing was found."""
    return all(each.state is HolderState.VERIFIED for each in holders)


def pause(holders: Sequence[HolderCase]) -> timedelta:
    """When it makes sense to look again: soon for who is being waited for, later for who is away."""
    tries = min((each.tries for each in holders if each.state is not HolderState.VERIFIED), default=0)
    doubled: timedelta = PATIENT * 2 ** min(tries, 6)
    return min(doubled, timedelta(minutes=1))


def _write(holder: HolderCase, found: Found, now: datetime) -> None:
    if isinstance(found, str):
        holder.cause = found
        return
    left: list[dict[str, Any]] = [{"category": each.category, "count": each.count} for each in found.left]
    if not left and found.standing.progress != promises_pb2.FINISHED:
        left = [{"category": "ACCOUNT", "count": 1}]  # it said that it was done, and is not
    vendors = [
        {"vendor": each.vendor, "count": each.count, "until": each.until.ToJsonString()}
        for each in found.vendor_copies
    ]
    holder.looked_through(left, vendors, found.waiting, now)
