"""Holds whose job was never heard of again end as the job did, after generation was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.generation.v1 import generation_pb2
from crafiq.generation.v1.generation_pb2_grpc import GenerationServiceStub

from services.billing.adapters.jobs import Jobs
from services.billing.domain import Balance
from services.billing.jobs import StaleHolds
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, LIFETIME, Sql
from tests.integration.billing.generation import GenerationPlayed
from tests.integration.billing.test_settling import ended, tell
from tests.integration.in_process import Neighbours
from tests.support import FakeClock


@pytest.fixture
def stale_holds(ledger: Ledger, billing: Neighbours) -> StaleHolds:
    """What runs each minute."""
    return StaleHolds(ledger, Jobs(GenerationServiceStub(billing.service.peer("generation"))))


A_DAY = timedelta(hours=24)
ENDED = generation_pb2.STATE_UNSPECIFIED


@dataclass
class Held:
    """A job with a hold of 10 for a day, of somebody who had GRANT credits."""

    person: UUID
    job: UUID
    ledger: Ledger
    played: GenerationPlayed
    clock: FakeClock

    @property
    def name(self) -> str:
        """The job's."""
        return f"generations/{self.job}"

    def became(self, state: int, price: int = 0) -> None:
        """Generation says so from now on; a day goes by."""
        outcome = generation_pb2.Outcome(generation=self.name, state=state, credits=price)
        self.played.outcomes[self.name] = outcome
        self.clock.forward(A_DAY)

    async def balance(self) -> Balance:
        """What the person has."""
        return await self.ledger.balance(self.person)


@pytest.fixture
async def held(person: UUID, ledger: Ledger, clock: FakeClock, generation_played: GenerationPlayed) -> Held:
    """A hold that stands for a day."""
    job = uuid4()
    await ledger.place(person, job, 10, A_DAY)
    return Held(person, job, ledger, generation_played, clock)


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize(
    ("state", "price", "charged"),
    [
        (ENDED, 7, 7),
        (ENDED, 70, 10),
        (ENDED, 0, 0),
        # What code says that tells how it ended.
        (generation_pb2.SUCCEEDED, 7, 7),
        (generation_pb2.FAILED, 0, 0),
        (generation_pb2.CANCELLED, 0, 0),
    ],
)
async def test_a_stale_hold_ends_as_its_job_did(
    state: int, price: int, charged: int, held: Held, stale_holds: StaleHolds
) -> None:
    held.became(state, price)
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT - charged, 0, charged)


@pytest.mark.promise("3-transactions")
async def test_news_that_come_twice_after_generation_was_asked_change_nothing(
    held: Held, stale_holds: StaleHolds, billing: Neighbours
) -> None:
    held.became(ENDED, 7)
    for _ in range(2):
        await stale_holds.run()
    succeeded = ended("succeeded", held.person, held.job, 7)
    await tell(billing, held.ledger, succeeded, succeeded)
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT - 7, 0, 7)


async def test_a_job_that_never_came_about_gives_its_hold_back(held: Held, stale_holds: StaleHolds) -> None:
    held.clock.forward(A_DAY)
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT, 0, 0)


@pytest.mark.parametrize("state", [generation_pb2.QUEUED, generation_pb2.RUNNING])
async def test_a_job_under_way_keeps_its_hold_and_is_asked_about_an_hour_later(
    state: int, held: Held, stale_holds: StaleHolds, clock: FakeClock
) -> None:
    held.became(state)
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT - 10, 10, 0)
    clock.forward(timedelta(minutes=59))
    await stale_holds.run()
    assert held.played.asked.count(held.name) == 1
    held.became(generation_pb2.SUCCEEDED, 4)
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT - 4, 0, 4)


async def test_nothing_changes_while_generation_does_not_answer(held: Held, stale_holds: StaleHolds) -> None:
    held.played.away = True
    try:
        held.became(generation_pb2.FAILED)
        assert await stale_holds.run() == 0
        assert await held.balance() == Balance(GRANT - 10, 10, 0)
    finally:
        held.played.away = False
    await stale_holds.run()
    assert await held.balance() == Balance(GRANT, 0, 0)


async def test_a_hold_whose_time_is_not_over_is_not_asked_about(
    person: UUID, stale_holds: StaleHolds, ledger: Ledger, generation_played: GenerationPlayed
) -> None:
    fresh = uuid4()
    await ledger.place(person, fresh, 10, LIFETIME)
    await stale_holds.run()
    assert f"generations/{fresh}" not in generation_played.asked
    assert (await ledger.balance(person)).held == 10


async def test_only_the_time_of_a_hold_that_stands_may_be_moved(held: Held, sql: Sql) -> None:
    await held.ledger.postpone(held.job, timedelta(hours=1))
    await held.ledger.release(held.job)
    for change in ("expires_at = now()", "captured = 1"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await sql.execute(CHANGE.format(change=change), held.job)


CHANGE = "UPDATE holds SET {change} WHERE generation = $1"
