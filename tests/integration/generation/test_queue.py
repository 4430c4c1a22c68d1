"""Who is served when, by how many, and what a dead worker leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chassis.db import Database, Statement
from chassis.migrate import upgrade
from promises import subjects
from services.generation.domain import (
    Delivered,
    FailureReason,
    Job,
    JobState,
    NotAccepted,
    Order,
    Rules,
    Task,
    Transition,
    Try,
    Wish,
    quote,
)
from services.generation.jobs.recovery import Recovery
from services.generation.repository import OLDEST, Changes, Claim, JobGone, Jobs
from tests.integration.generation.world import REQUEST_KEY, World
from tests.support import FakeClock
from tests.unit.generation.test_catalogue import SHIPPED
from tests.unit.generation.test_jobs import ROUTE
from tools.migration import folder_of

RULES = Rules()
# The two statements of an erasing transaction that matter here.
_LOCK = Statement(text("SELECT 1 FROM subjects WHERE account = :owner FOR UPDATE"))
_ERASE = Statement(text("DELETE FROM subjects WHERE account = :owner"))


class Desk:
    """A queue of its own, and a clock that the test moves."""

    def __init__(self, db: Database, clock: FakeClock) -> None:
        self.db, self.clock = db, clock
        self.jobs = Jobs(db, Changes())
        self.recovery = Recovery(self.jobs, RULES)

    async def account(self) -> UUID:
        account = uuid4()
        async with self.db.transaction() as tx:
            await subjects.begin(tx, account)
        return account

    async def order(self, account: UUID, count: int = 1) -> Job:
        """One more second passes with each order, so that there is an oldest."""
        self.clock.forward(timedelta(seconds=1))
        wish = Wish("", Task.TEXT_TO_IMAGE, "a brass key", (), count, {})
        job, step = Job.reserve(uuid4(), account, quote(SHIPPED, wish, self.clock.now()), self.clock.now())
        async with self.jobs.transaction(job.id) as tx:
            await tx.insert(job)
            await tx.insert(step)
        return job

    async def claim(self, share: int = 4) -> Claim | None:
        return await self.jobs.claim(share, RULES.lease)

    async def claimed(self) -> Claim:
        found = await self.claim()
        assert found is not None
        return found

    async def send(self, claim: Claim) -> None:
        """What a worker commits before it asks the vendor."""
        job = claim.job
        order = Order(job.model, Task(job.task), job.prompt, job.count, job.parameters, ())
        async with self.jobs.held(job.account, job.id, claim.attempt) as held:
            await held.depart(order, ROUTE, self.clock.now())

    async def take(self, claim: Claim, step: Callable[[Try], Transition]) -> None:
        """A step of the worker that has the claim."""
        async with self.jobs.held(claim.job.account, claim.job.id, claim.attempt) as held:
            await held.record(step(await held.tried()))

    async def state(self, claim: Claim) -> JobState:
        return (await self.jobs.get(claim.job.account, claim.job.id)).state


@pytest.fixture
async def desk(generation: World) -> AsyncIterator[Desk]:
    await upgrade(generation.database, folder_of("generation"))
    await generation.sql("TRUNCATE subjects CASCADE")
    clock = FakeClock()
    async with Database.open(
        generation.database, clock=clock, new_id=uuid4, request_key=bytes.fromhex(REQUEST_KEY)
    ) as db:
        yield Desk(db, clock)


async def test_people_take_turns_whatever_the_length_of_their_queues(desk: Desk) -> None:
    busy, calm, late = [await desk.account() for _ in range(3)]
    for account in (busy, busy, busy, busy, calm, calm, late):
        await desk.order(account)
    served = []
    while (claim := await desk.claim()) is not None:
        served.append(claim.job.account)
    assert served == [busy, calm, late, busy, calm, busy, busy]


async def test_one_person_has_no_more_than_their_share_however_many_workers_there_are(desk: Desk) -> None:
    account = await desk.account()
    for _ in range(6):
        await desk.order(account)
    claims = await asyncio.gather(*(desk.claim(share=2) for _ in range(8)))
    assert len([claim for claim in claims if claim is not None]) == 2


async def test_one_job_is_claimed_once_by_many_workers(desk: Desk) -> None:
    await desk.order(await desk.account())
    claims = await asyncio.gather(*(desk.claim() for _ in range(8)))
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_a_claim_and_its_attempt_are_one_commit(desk: Desk, generation: World) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    [attempt] = await generation.sql("SELECT * FROM attempts WHERE generation = $1", claim.job.id)
    assert (attempt["id"], attempt["state"], attempt["number"]) == (claim.attempt, "CLAIMED", 1)
    assert attempt["claimed_until"] == desk.clock.now() + RULES.lease


async def test_a_job_that_has_to_wait_is_not_claimed_before_its_time(desk: Desk) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    await desk.send(claim)
    refused = NotAccepted("HTTP_429", again=True)
    await desk.take(claim, lambda tried: tried.conclude(refused, RULES, desk.clock.now()))
    assert await desk.claim() is None
    desk.clock.forward(timedelta(seconds=1))
    again = await desk.claimed()
    assert again.job.id == claim.job.id
    assert again.attempt != claim.attempt


async def test_a_worker_that_renews_its_claim_is_left_alone(desk: Desk) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    for _ in range(4):
        desk.clock.forward(RULES.lease / 3)
        assert await desk.jobs.renew([claim.attempt], RULES.lease) == 1
        await desk.recovery.run()
    assert await desk.state(claim) == JobState.SUBMITTING


async def test_a_worker_that_died_before_anything_left_is_followed_by_another(desk: Desk) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    desk.clock.forward(RULES.lease)
    await desk.recovery.run()
    again = await desk.claimed()
    assert again.job.id == claim.job.id
    with pytest.raises(JobGone):
        await desk.send(claim)  # it comes back to life too late: it may not send any more


async def test_a_worker_that_died_after_it_may_have_sent_is_not_followed(
    desk: Desk, generation: World
) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    await desk.send(claim)
    desk.clock.forward(RULES.lease)
    await desk.recovery.run()
    assert await desk.state(claim) == JobState.UNKNOWN
    assert await desk.claim() is None
    [sent] = await desk.jobs.egress(claim.job.account, claim.job.id, OLDEST, 10)
    assert sent.outcome == "UNKNOWN"
    desk.clock.forward(RULES.unknown - timedelta(seconds=1))
    await desk.recovery.run()
    assert await desk.state(claim) == JobState.UNKNOWN
    desk.clock.forward(timedelta(seconds=1))
    await desk.recovery.run()
    await desk.recovery.run()
    ended = await desk.jobs.get(claim.job.account, claim.job.id)
    assert (ended.state, ended.failure_reason) == (JobState.FAILED, FailureReason.OUTCOME_UNKNOWN)
    subject = f"crafiq.generation.v1.GenerationFailed.{claim.job.account}"
    rows = await generation.sql("SELECT subject FROM outbox WHERE subject = $1", subject)
    assert len(rows) == 1


async def test_an_answer_that_comes_while_the_fate_is_unknown_is_delivered(desk: Desk) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    await desk.send(claim)
    desk.clock.forward(RULES.lease)
    await desk.recovery.run()
    await desk.take(claim, lambda tried: tried.conclude(Delivered((b"1",)), RULES, desk.clock.now()))
    await desk.take(claim, lambda tried: tried.kept("assets/1", 1, RULES, desk.clock.now()))
    assert await desk.state(claim) == JobState.SUCCEEDED
    steps = await desk.jobs.steps(claim.job.id, 0)
    assert [step.seq for step in steps] == [1, 2, 3, 4, 5]


async def test_a_worker_given_up_while_it_stored_is_missed_again_when_it_is_back(desk: Desk) -> None:
    await desk.order(await desk.account(), count=3)
    claim = await desk.claimed()
    await desk.send(claim)
    await desk.take(claim, lambda tried: tried.conclude(Delivered((b"1",) * 3), RULES, desk.clock.now()))
    desk.clock.forward(RULES.lease)
    await desk.recovery.run()
    assert await desk.state(claim) == JobState.UNKNOWN
    await desk.take(claim, lambda tried: tried.kept("assets/1", 3, RULES, desk.clock.now()))
    assert await desk.state(claim) == JobState.RUNNING
    assert await desk.jobs.renew([claim.attempt], RULES.lease) == 1
    for wait in (RULES.lease, RULES.unknown):
        desk.clock.forward(wait)
        await desk.recovery.run()
    ended = await desk.jobs.get(claim.job.account, claim.job.id)
    assert (ended.state, ended.charged_credits) == (JobState.SUCCEEDED, 4)


async def test_an_answer_that_comes_after_the_end_changes_nothing(desk: Desk) -> None:
    await desk.order(await desk.account())
    claim = await desk.claimed()
    await desk.send(claim)
    desk.clock.forward(RULES.lease)
    await desk.recovery.run()
    desk.clock.forward(RULES.unknown)
    await desk.recovery.run()
    with pytest.raises(JobGone):
        async with desk.jobs.held(claim.job.account, claim.job.id, claim.attempt):
            pass
    assert await desk.state(claim) == JobState.FAILED


@pytest.mark.promise("9-delete-now")
async def test_an_erasure_and_a_claim_do_not_wait_for_each_other_in_a_circle(
    desk: Desk, generation: World
) -> None:
    account, other = await desk.account(), await desk.account()
    await desk.order(account)
    await desk.order(other)
    async with desk.db.transaction() as eraser:
        await eraser.execute(_LOCK, owner=account)
        # The erased person's job is passed over, and not waited for.
        async with asyncio.timeout(20):  # a lock is waited for 4 s, and that is an error
            assert (await desk.claimed()).job.account == other
        await eraser.execute(_ERASE, owner=account)
    assert await desk.claim() is None


@pytest.mark.promise("9-delete-now")
async def test_an_erasure_takes_the_work_in_hand_along(desk: Desk, generation: World) -> None:
    account = await desk.account()
    await desk.order(account)
    claim = await desk.claimed()
    await desk.send(claim)
    writing, erased = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with desk.jobs.held(account, claim.job.id, claim.attempt) as held:
            writing.set()
            tried = await held.tried()
            await held.record(tried.conclude(Delivered((b"1",)), RULES, desk.clock.now()))

    async def erase() -> None:
        await writing.wait()
        async with desk.db.transaction() as tx:
            await tx.execute(_LOCK, owner=account)
            await tx.execute(_ERASE, owner=account)
        erased.set()

    await asyncio.gather(write(), erase())
    for table in ("jobs", "transitions", "attempts", "egress"):
        assert await generation.sql(f"SELECT 1 FROM {table} WHERE account = $1", account) == []  # noqa: S608
    with pytest.raises(JobGone):
        async with desk.jobs.held(account, claim.job.id, claim.attempt):
            pass


@pytest.mark.promise("9-delete-now")
async def test_a_writer_that_meets_an_erasure_waits_outside_and_then_finds_nothing(desk: Desk) -> None:
    account = await desk.account()
    await desk.order(account)
    claim = await desk.claimed()

    async def write() -> None:
        async with desk.jobs.held(account, claim.job.id, claim.attempt) as held:
            await held.record(held.job.fail(FailureReason.INTERNAL, desk.clock.now()))

    async with desk.db.transaction() as eraser:
        await eraser.execute(_LOCK, owner=account)
        writing = asyncio.create_task(write())
        await asyncio.wait([writing], timeout=0.2)  # it waits, and holds nothing that the eraser needs
        await eraser.execute(_ERASE, owner=account)
    with pytest.raises(JobGone):
        await writing
