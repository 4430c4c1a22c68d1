"""Tombstones stand for as long as backups live, and no day longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from minio.error import S3Error

from chassis.jobs import Job
from chassis.service import Service
from deploy.local.infra import Infra
from promises.erasing import Wanted
from promises.ledger import Ledger, client, place, tombstone_key
from services.privacy.__main__ import Settings, compose
from services.privacy.adapters import ReceiptKeys, TombstoneLedger
from services.privacy.domain import Row
from tests.integration.in_process import settings_for
from tests.support import eventually, signing_key


async def job_of(settings: Settings, keys: ReceiptKeys, name: str) -> Job:
    """A job of privacy as it puts itself together with these settings."""
    jobs: dict[str, Job] = {}
    async with Service("privacy", settings, metadata=Row.metadata) as service:
        service.every = lambda job: jobs.setdefault(job.name, job)  # type: ignore[method-assign,assignment]  # to see them
        await compose(service, settings, keys)
    return jobs[name]


@pytest.mark.promise("9-backup-passive", "9-backup-30d")
@pytest.mark.timeout(120)
async def test_a_tombstone_stands_until_its_lock_ends_and_is_swept_then(infra: Infra, tmp_path: Path) -> None:
    usual = Settings(**settings_for(infra, "privacy"))
    short = Settings(**settings_for(infra, "privacy"), tombstones_locked=timedelta(seconds=8))
    assert usual.tombstones_locked == timedelta(days=35)
    sweep = await job_of(short, ReceiptKeys(signing_key(tmp_path, "first").parent), "ledger")
    ledgers = [TombstoneLedger(*place(each), each.tombstones_locked) for each in (usual, short)]
    longer, wanted, void = (Wanted(uuid4(), uuid4(), datetime.now(UTC)) for _ in range(3))
    for ledger, each in ((ledgers[0], longer), (ledgers[1], wanted), (ledgers[1], void)):
        await ledger.write(each)
    await ledgers[1].void(void)
    _, bucket, keys = place(short)
    storage = client(short.ledger_url, *keys)

    def versions(*which: Wanted) -> list[tuple[str, str]]:
        """Objects of these in storage, those that a marker hides too: key and version."""
        found = storage.list_objects(bucket, recursive=True, include_version=True)
        names = [(str(each.object_name), str(each.version_id)) for each in found]
        return [each for each in names if any(str(one.erasure) in each[0] for one in which)]

    [(key, version)] = versions(wanted)
    assert key == tombstone_key(wanted)
    with pytest.raises(S3Error, match="Access Denied"):
        storage.remove_object(bucket, key, version_id=version)
    await sweep.run()
    assert {wanted, longer} <= set(await Ledger(*place(short)).standing())

    async def swept() -> bool:
        await sweep.run()
        return not versions(wanted, void)

    await eventually(swept, timeout=40)
    # Who was written down when the lock was longer stays, and keeps nobody else.
    assert len(versions(longer)) == 1
    assert longer in await Ledger(*place(short)).standing()
