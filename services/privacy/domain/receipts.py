"""What a receipt and its supplement say; they are signed elsewhere. No personal data is in either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.privacy.domain.erasures import Case, HolderCase, Scrub

ISSUER = "crafiq-privacy"
SCRUBBED_WITHIN = timedelta(hours=24)


def receipt(case: Case, holders: Sequence[HolderCase], now: datetime) -> dict[str, Any]:
    """What is gone, what is retained until when on which ground, what ends by its own clock.

    `foundBefore` and `leftNow` were counted by the same look, before and after; times are RFC 3339. Of a
    holder that was silent when the account was deleted, only what is left is known: it is not `counted`.
    """
    deleted_at = case.deleted_at or case.approved_at
    return {
        "iss": ISSUER,
        "erasure": case.name,
        "planHash": case.plan_hash,
        "approved": _time(case.approved_at),
        "deleted": _time(deleted_at),
        "signed": _time(now),
        "holders": [_holder(each) for each in holders],
        "bus": {"foundBefore": case.bus_before, "leftNow": 0},
        "retained": _retained(holders),
        "vendorCopies": [{**copy, "holder": each.holder} for each in holders for copy in each.vendors],
        "inBackupsUntil": _latest(holders, "IN_BACKUPS_UNTIL"),
        "scrubbedUntil": _time(now + SCRUBBED_WITHIN),
    }


def supplement(case: Case, holders: Sequence[HolderCase], scrub: Scrub, now: datetime) -> dict[str, Any]:
    """What was still open when the receipt was signed, and is done."""
    return {
        "iss": ISSUER,
        "erasure": case.name,
        "receiptSigned": _time(case.signed_at or now),
        "signed": _time(now),
        "scrub": {
            "began": _time(scrub.began_at),
            "ended": _time(scrub.ended_at),
            "searchedBytes": scrub.searched_bytes,
            "searchedValues": scrub.searched_values,
            "hits": scrub.hits,
        },
        "vendorCopies": [{**copy, "holder": each.holder} for each in holders for copy in each.vendors],
    }


def _holder(each: HolderCase) -> dict[str, Any]:
    left = {(line["category"]): line["count"] for line in each.left or []}
    erased = [line for line in each.before or [] if line["fate"] in ("ERASED_NOW", "ANONYMISED")]
    return {
        "holder": each.holder,
        "answered": _time(each.answered_at),
        "verified": _time(each.verified_at),
        "counted": each.before is not None,
        "data": [
            {
                "category": line["category"],
                "fate": line["fate"],
                "foundBefore": line["count"],
                "leftNow": left.get(line["category"], 0),
            }
            for line in erased
        ],
    }


def _retained(holders: Iterable[HolderCase]) -> list[dict[str, Any]]:
    return [
        {
            "holder": each.holder,
            "category": line["category"],
            "ground": line["ground"],
            "until": line["until"],
            "count": line["count"],
        }
        for each in holders
        for line in each.before or []
        if line["fate"] == "RETAINED_UNTIL"
    ]


def _latest(holders: Iterable[HolderCase], fate: str) -> str | None:
    ends = [
        line["until"]
        for each in holders
        for line in each.before or []
        if line["fate"] == fate and line["until"]
    ]
    return max(ends, default=None)


def _time(at: datetime | None) -> str | None:
    return (
        None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
