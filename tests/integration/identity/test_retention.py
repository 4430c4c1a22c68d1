"""Retention sweeps wait for nobody: what somebody holds is left for the next time, all else goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from chassis.db import Statement
from chassis.service import Service
from services.identity.adapters.peppers import Peppers
from services.identity.jobs.sweeps import sweeps
from tests.integration.identity.people import People, refusal
from tests.support import FakeClock, eventually


@pytest.mark.promise("9-asneeded")
@pytest.mark.parametrize("table", ["verifications", "sign_up_requests", "throttles", "sessions"])
async def test_a_sweep_takes_what_nobody_holds_and_the_rest_later(
    people: People, clock: FakeClock, identity: Service, peppers: Peppers, table: str
) -> None:
    async def left(rows: int) -> bool:
        for job in sweeps(identity.db, clock, peppers):
            await job.run()
        return len(await people.rows(f"SELECT FROM {table}")) == rows

    # Some rows here are of processes of other tests, which have another clock.
    await people.rows(f"DELETE FROM {table}")  # noqa: S608
    for _ in range(3):
        person = await people.signed_in()
        await refusal(people.stub.CreateSession(people.credentials(person, "a guess")))
    clock.forward(timedelta(days=100))
    async with identity.db.transaction() as tx:
        assert await tx.all(Statement(text(f"SELECT 1 FROM {table} LIMIT 1 FOR UPDATE")))  # noqa: S608
        # The service sweeps by itself as well, and what it has in hand is passed over here.
        await eventually(lambda: left(1))
    await eventually(lambda: left(0))
