"""Whatever is done to a ledger, in whatever order: the books balance, and a model agrees."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.billing.domain import Gift, Placement
from services.billing.jobs import Expiry
from services.billing.repository import Ledger
from tests.integration.billing.conftest import LIFETIME, People, Sql
from tests.integration.in_process import Neighbours
from tests.support import FakeClock

JOBS = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("place"), JOBS, st.integers(1, 60)),
    st.tuples(st.just("capture"), JOBS, st.integers(0, 70)),
    st.tuples(st.just("release"), JOBS, st.just(0)),
    st.tuples(st.just("grant"), st.just(0), st.integers(1, 50)),
    st.tuples(st.just("grant_that_ends"), st.just(0), st.integers(1, 50)),
    st.tuples(st.just("an_hour_later"), st.just(0), st.just(0)),
    st.tuples(st.just("expire"), st.just(0), st.just(0)),
)


@dataclass
class Model:
    """What the ledger should say: one number a lot, one hold a job."""

    granted: int = 100
    settled: int = 0
    holds: dict[int, tuple[str, int]] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Credits in holds that stand."""
        return sum(held for state, held in self.holds.values() if state == "HELD")

    def place(self, job: int, needed: int, available: int) -> None:
        """A hold comes about if there is none and enough is there."""
        if job not in self.holds and needed <= available:
            self.holds[job] = ("HELD", needed)

    def settle(self, job: int, price: int) -> None:
        """A hold that stands ends; another does not change."""
        state, held = self.holds.get(job, ("", 0))
        if state == "HELD":
            self.settled += min(price, held)
            self.holds[job] = ("CAPTURED" if price else "RELEASED", held)

    def release(self, job: int) -> None:
        """As settling at no price; a job without a hold gets none any more."""
        self.settle(job, 0)
        self.holds.setdefault(job, ("RELEASED", 0))


@pytest.mark.promise("3-transactions")
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=25))
async def test_the_books_balance_after_every_step(
    steps: list[tuple[str, int, int]], billing: Neighbours, new_person: People, ledger: Ledger, sql: Sql
) -> None:
    clock = billing.service.clock
    assert isinstance(clock, FakeClock)
    person, jobs, model = await new_person(), [uuid4() for _ in range(6)], Model()
    for what, job, number in steps:
        before = await ledger.balance(person)
        match what:
            case "place":
                placement = await ledger.place(person, jobs[job], number, LIFETIME)
                model.place(job, number, before.available)
                assert told(placement) == model.holds.get(job)
            case "capture":
                await ledger.settle(jobs[job], number)
                model.settle(job, number)
            case "release":
                await ledger.release(jobs[job])
                model.release(job)
            case "an_hour_later":
                clock.forward(timedelta(hours=1))
            case "expire":
                await Expiry(ledger).run()
                assert await ledger.balance(person) == before
            case _:
                lasts = timedelta(hours=2) if what == "grant_that_ends" else None
                await ledger.grant(person, Gift(number, lasts))
                model.granted += number
        await the_books_balance(sql, ledger, person, model)


def told(placement: Placement) -> tuple[str, int] | None:
    hold = placement.hold
    return None if hold is None else (str(hold.state), hold.credits)


async def the_books_balance(sql: Sql, ledger: Ledger, person: UUID, model: Model) -> None:
    balance = await ledger.balance(person)
    book = await ledger.book(person)
    lots = await sql.fetchrow(
        "SELECT sum(granted) AS granted, sum(available) AS available, sum(held) AS held,"
        " sum(settled) AS settled, sum(expired) AS expired FROM lots WHERE book = $1",
        book,
    )
    assert lots is not None
    assert (
        lots["granted"]
        == lots["available"] + lots["held"] + lots["settled"] + lots["expired"]
        == model.granted
    )
    assert (balance.held, balance.settled) == (lots["held"], lots["settled"]) == (model.held, model.settled)
    assert 0 <= balance.available <= lots["available"]
    moved = await sql.fetchval(
        "SELECT sum(CASE credit WHEN 'AVAILABLE' THEN amount ELSE 0 END)"
        " - sum(CASE debit WHEN 'AVAILABLE' THEN amount ELSE 0 END) FROM transfers WHERE book = $1",
        book,
    )
    assert moved == lots["available"]
