"""Jobs run when they are due, in one process at a time, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from chassis.db import Database
from chassis.jobs import LEASE, Job, keep_running, run_if_due
from tests.integration.chassis_data.conftest import KEY
from tests.support import FakeClock, eventually

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(database_url: str, clock: FakeClock) -> Database:
    async with Database.open(database_url, clock=clock, new_id=uuid4, request_key=KEY, size=(1, 8)) as db:
        yield db


class Runs:
    """Counts how often a job ran, and how many at a time."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count, self.now, self.most, self.error = 0, 0, 0, error

    async def __call__(self) -> None:
        self.count, self.now = self.count + 1, self.now + 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.05)
        self.now -= 1
        if self.error:
            raise self.error


async def test_a_job_runs_at_once_and_then_when_it_is_due(timed: Database, clock: FakeClock) -> None:
    job = Job("sweep", MINUTE, runs := Runs())
    assert await run_if_due(job, timed)
    assert not await run_if_due(job, timed)
    clock.forward(MINUTE - timedelta(seconds=1))
    assert not await run_if_due(job, timed)
    clock.forward(timedelta(seconds=1))
    assert await run_if_due(job, timed)
    assert runs.count == 2


async def test_one_process_at_a_time_runs_it(timed: Database, clock: FakeClock) -> None:
    job = Job("sweep", MINUTE, runs := Runs())
    for round_ in range(1, 4):
        ran = await asyncio.gather(*(run_if_due(job, timed) for _ in range(6)))
        assert sorted(ran) == [False] * 5 + [True]
        assert (runs.count, runs.most) == (round_, 1)
        clock.forward(MINUTE)


async def test_jobs_do_not_wait_for_one_another(timed: Database) -> None:
    jobs = [Job(name, MINUTE, Runs()) for name in ("a", "b", "c")]
    assert all(await asyncio.gather(*(run_if_due(job, timed) for job in jobs)))


async def test_a_failure_is_tried_again_next_time(timed: Database, clock: FakeClock) -> None:
    job = Job("sweep", MINUTE, runs := Runs(ValueError("this time")))
    with pytest.raises(ValueError, match="this time"):
        await run_if_due(job, timed)
    assert not await run_if_due(job, timed)
    clock.forward(MINUTE)
    with pytest.raises(ValueError, match="this time"):
        await run_if_due(job, timed)
    assert runs.count == 2


async def test_the_lease_of_a_process_that_vanished_ends(timed: Database, clock: FakeClock) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    vanishing = asyncio.create_task(run_if_due(Job("sweep", MINUTE, hang), timed))
    await begun.wait()
    job = Job("sweep", MINUTE, runs := Runs())
    clock.forward(LEASE - timedelta(seconds=1))
    assert not await run_if_due(job, timed)
    clock.forward(timedelta(seconds=1))
    assert await run_if_due(job, timed)
    assert runs.count == 1
    vanishing.cancel()
    with suppress(asyncio.CancelledError):
        await vanishing
    # What the late one gives back is no longer its to give.
    assert not await run_if_due(job, timed)


async def test_a_lease_is_renewed_after_the_database_was_away(
    timed: Database,
    clock: FakeClock,
    sql: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("chassis.jobs.LEASE", timedelta(seconds=0.3))
    go_on = asyncio.Event()
    running = asyncio.create_task(run_if_due(Job("sweep", MINUTE, go_on.wait), timed))
    await eventually(lambda: sql.fetchval("SELECT holder FROM leases"))
    await sql.execute("ALTER TABLE leases RENAME TO away")
    await eventually(lambda: caplog.text.count("can't be renewed") >= 2)
    await sql.execute("ALTER TABLE away RENAME TO leases")
    clock.forward(MINUTE)
    until = clock.now() + timedelta(seconds=0.3)
    await eventually(lambda: sql.fetchval("SELECT until = $1 FROM leases", until))
    assert not await run_if_due(Job("sweep", MINUTE, Runs()), timed)
    go_on.set()
    assert await running


async def test_a_job_fails_for_its_own_reason_even_if_its_lease_can_not_be_given_back(
    timed: Database, clock: FakeClock, sql: asyncpg.Connection
) -> None:
    async def fail() -> None:
        await sql.execute("ALTER TABLE leases RENAME TO away")
        raise ValueError("this time")

    try:
        with pytest.raises(ValueError, match="this time"):
            await run_if_due(Job("sweep", MINUTE, fail), timed)
    finally:
        await sql.execute("ALTER TABLE away RENAME TO leases")
    job = Job("sweep", MINUTE, runs := Runs())
    assert not await run_if_due(job, timed)
    clock.forward(LEASE)
    assert await run_if_due(job, timed)
    assert runs.count == 1


async def test_a_failing_job_is_kept_running(timed: Database) -> None:
    job = Job("sweep", timedelta(milliseconds=10), runs := Runs(ValueError("always")))
    clock = timed.clock
    assert isinstance(clock, FakeClock)
    task = asyncio.create_task(keep_running(job, timed))

    def again() -> bool:
        clock.forward(timedelta(seconds=1))
        return runs.count >= 3

    await eventually(again)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
