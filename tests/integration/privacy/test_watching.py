"""Whether somebody scrubs is counted from what was reported, so that a restart knows it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from services.privacy.domain import Case, Scrub
from services.privacy.jobs import Watch
from services.privacy.repository import Erasures
from tests.integration.in_process import Neighbours
from tests.support import FakeClock

DAY = timedelta(days=1)


async def counted(privacy: Neighbours) -> dict[str, float]:
    """What a process says that has just been started."""
    service = privacy.service
    await Watch(Erasures(service.db), service.clock).look()
    names = ("erasures_overdue", "erasures_unscrubbed", "scrub_clean_timestamp_seconds", "scrub_hits")
    return {name: REGISTRY.get_sample_value(f"crafiq_{name}") or 0 for name in names}


async def reported(privacy: Neighbours, began: datetime, hits: int = 0) -> None:
    scrub = Scrub(
        id=uuid4(), began_at=began, ended_at=began + timedelta(minutes=1), searched_bytes=10**9,
        searched_values=3, hits=hits,
    )  # fmt: skip
    await Erasures(privacy.service.db).report(scrub)


@pytest.mark.promise("9-delete-now")
async def test_who_waits_for_a_scrub_is_counted_until_a_clean_one_came_afterwards(
    privacy: Neighbours,
) -> None:
    db, now = privacy.service.db, privacy.service.clock.now()
    keys = await Erasures(db).keys()
    assert await counted(privacy) == {
        "erasures_overdue": 0,
        "erasures_unscrubbed": 0,
        "scrub_clean_timestamp_seconds": keys[-1].since.timestamp(),
        "scrub_hits": 0,
    }
    signed = now - DAY - timedelta(hours=1)
    for each in (signed, now - timedelta(hours=1)):  # one waits for too long, one does not
        case = Case.from_ledger(uuid4(), uuid4(), each, each)
        case.sign("a receipt", each)
        case.due = now + DAY
        async with db.transaction() as tx:
            await tx.insert(case)
    await reported(privacy, signed - timedelta(minutes=1))
    await reported(privacy, now - timedelta(minutes=9), hits=2)
    assert await counted(privacy) == {
        "erasures_overdue": 0,
        "erasures_unscrubbed": 1,
        "scrub_clean_timestamp_seconds": (signed - timedelta(minutes=1)).timestamp(),
        "scrub_hits": 2,
    }
    clean = now - timedelta(minutes=5)
    await reported(privacy, clean)
    said = await counted(privacy)
    assert (said["erasures_unscrubbed"], said["scrub_clean_timestamp_seconds"]) == (0, clean.timestamp())
    cast(FakeClock, privacy.service.clock).forward(DAY)
    assert (await counted(privacy))["scrub_hits"] == 0


async def test_a_deletion_without_a_receipt_is_overdue_after_a_minute(privacy: Neighbours) -> None:
    clock, before = cast(FakeClock, privacy.service.clock), (await counted(privacy))["erasures_overdue"]
    now = clock.now()
    case = Case.from_ledger(uuid4(), uuid4(), now, now)
    case.due = now + DAY
    async with privacy.service.db.transaction() as tx:
        await tx.insert(case)
    assert (await counted(privacy))["erasures_overdue"] == before
    clock.forward(timedelta(seconds=61))
    assert (await counted(privacy))["erasures_overdue"] == before + 1
