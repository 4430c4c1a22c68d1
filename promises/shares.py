"""What is found of a person, counted: the same figures in a plan, in a second look, in a receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from crafiq.promises.v1 import promises_pb2
from google.protobuf.timestamp_pb2 import Timestamp

Fate: TypeAlias = "promises_pb2.Fate.ValueType"
BACKUPS = timedelta(days=30)
"""How long the oldest backup lives: section 9 of the policy."""
BACKUPS_GROUND = "removed through routine rotation"


@dataclass(frozen=True, slots=True)
class Share:
    """How much there is of one category that has one fate.

    `ground` and `until` are of what is kept; `vendor` is who has it, if that is somebody else.
    """

    category: str
    fate: Fate
    count: int = 0
    ground: str = ""
    until: datetime | None = None
    vendor: str = ""


def buckets(shares: Iterable[Share], now: datetime) -> Iterator[promises_pb2.Bucket]:
    """What becomes of all of it: a bucket for each fate and ground in which there is something.

    What is not retained may lie in backups for a while; what is retained lies there no longer than
    it is retained.
    """
    counted: Counter[Share] = Counter()
    for share in shares:
        counted[replace(share, count=0, vendor="")] += share.count
    kinds = {(kind.fate, kind.ground) for kind, count in counted.items() if count}
    for fate, ground in sorted(kinds):
        yield _bucket(
            fate, ground, {k: c for k, c in counted.items() if (k.fate, k.ground) == (fate, ground)}
        )
    remains = {k: c for k, c in counted.items() if k.fate != promises_pb2.RETAINED_UNTIL and c}
    if remains:
        bucket = _bucket(promises_pb2.IN_BACKUPS_UNTIL, BACKUPS_GROUND, remains)
        bucket.until.FromDatetime(now + BACKUPS)
        yield bucket


def merged(plans: Iterable[promises_pb2.Plan]) -> list[promises_pb2.Bucket]:
    """The buckets of several holders as one plan: sums by category, the latest date."""
    found: dict[tuple[Fate, str], promises_pb2.Bucket] = {}
    for bucket in (each for plan in plans for each in plan.buckets):
        key = bucket.fate, bucket.ground
        so_far = found.setdefault(key, promises_pb2.Bucket(fate=bucket.fate, ground=bucket.ground))
        counts = [(each.category, each.count) for each in (*so_far.counts, *bucket.counts)]
        del so_far.counts[:]
        so_far.counts.extend(by_category(counts))
        if bucket.HasField("until") and bucket.until.ToNanoseconds() > so_far.until.ToNanoseconds():
            so_far.until.CopyFrom(bucket.until)
    return [found[key] for key in sorted(found)]


def by_category(counts: Iterable[tuple[str, int]]) -> list[promises_pb2.CategoryCount]:
    """Sums, in the order of categories; nothing where there is nothing."""
    total: Counter[str] = Counter()
    for category, count in counts:
        total[category] += count
    pairs = sorted(total.items())
    return [promises_pb2.CategoryCount(category=name, count=count) for name, count in pairs if count]


def vendor_copies(shares: Iterable[Share]) -> list[promises_pb2.VendorCopies]:
    """What is with vendors, a line for each."""
    total: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for share in shares:
        if share.vendor and share.count:
            total[share.vendor] += share.count
            if share.until is not None:
                last[share.vendor] = max(share.until, last.get(share.vendor, share.until))
    return [
        promises_pb2.VendorCopies(vendor=vendor, count=count, until=_timestamp(last.get(vendor)))
        for vendor, count in sorted(total.items())
    ]


def _bucket(fate: Fate, ground: str, counts: dict[Share, int]) -> promises_pb2.Bucket:
    ends = [share.until for share in counts if share.until is not None]
    return promises_pb2.Bucket(
        fate=fate,
        ground=ground,
        until=_timestamp(max(ends, default=None)),
        counts=by_category((share.category, count) for share, count in counts.items()),
    )


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
