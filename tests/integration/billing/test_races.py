"""Many at once at the same credits: none lost, none spent twice, none below zero."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID, uuid4

import pytest

from services.billing.domain import Balance, Gift, HoldState
from services.billing.repository.ledger import Ledger, Turns
from tests.integration.billing.conftest import GRANT, LIFETIME, People, Sql


@pytest.mark.promise("3-transactions")
async def test_orders_at_once_spend_each_credit_once(person: UUID, ledger: Ledger) -> None:
    placements = await asyncio.gather(*(ledger.place(person, uuid4(), 3, LIFETIME) for _ in range(60)))
    assert sum(p.hold is not None for p in placements) == 33
    assert await ledger.balance(person) == Balance(1, 99, 0)


async def test_orders_in_several_processes_spend_each_credit_once(
    person: UUID, ledger: Ledger, unbounded: Ledger
) -> None:
    """As above without the queue of one process: the database alone keeps the order."""
    placements = await asyncio.gather(*(unbounded.place(person, uuid4(), 3, LIFETIME) for _ in range(60)))
    assert sum(p.hold is not None for p in placements) == 33
    assert await ledger.balance(person) == Balance(1, 99, 0)


async def test_the_same_order_at_once_is_one_hold(person: UUID, ledger: Ledger, unbounded: Ledger) -> None:
    generation = uuid4()
    placements = await asyncio.gather(*(unbounded.place(person, generation, 70, LIFETIME) for _ in range(12)))
    assert {p.hold.credits for p in placements if p.hold} == {70}
    assert all(p.own for p in placements)
    assert await ledger.balance(person) == Balance(30, 70, 0)


@pytest.mark.promise("3-transactions")
async def test_capture_and_release_at_once_settle_once(person: UUID, ledger: Ledger) -> None:
    captured = 0
    for _ in range(20):
        generation = uuid4()
        await ledger.place(person, generation, 4, LIFETIME)
        ends = [ledger.settle(generation, 4), ledger.release(generation), ledger.settle(generation, 2)]
        random.shuffle(ends)
        await asyncio.gather(*ends)
        hold = await ledger.hold(generation)
        assert hold is not None
        assert hold.state is (HoldState.CAPTURED if hold.captured else HoldState.RELEASED)
        captured += hold.captured
        assert await ledger.balance(person) == Balance(GRANT - captured, 0, captured)


async def test_placing_and_giving_back_at_once_leave_no_hold(person: UUID, ledger: Ledger, sql: Sql) -> None:
    jobs = [uuid4() for _ in range(20)]
    work = [ledger.place(person, generation, 5, LIFETIME) for generation in jobs]
    work += [ledger.release(generation) for generation in jobs]
    random.shuffle(work)
    await asyncio.gather(*work)
    states = await sql.fetch("SELECT state FROM holds WHERE generation = ANY($1)", jobs)
    assert [row["state"] for row in states] == ["RELEASED"] * len(jobs)
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)


async def test_lots_of_one_person_are_drawn_at_once_without_deadlock(
    person: UUID, ledger: Ledger, unbounded: Ledger, sql: Sql
) -> None:
    for number in range(8):
        await ledger.grant(person, Gift(10 + number))
    total = GRANT + sum(range(10, 18))
    jobs = [uuid4() for _ in range(40)]
    await asyncio.gather(*(unbounded.place(person, generation, 7, LIFETIME) for generation in jobs))
    drawn = await ledger.balance(person)
    assert (drawn.available, drawn.held) == (total % 7, total - total % 7)
    await asyncio.gather(*(ledger.settle(generation, 5) for generation in jobs))
    placed = drawn.held // 7
    assert await ledger.balance(person) == Balance(total - 5 * placed, 0, 5 * placed)


async def test_people_do_not_wait_for_one_another(new_person: People, ledger: Ledger, sql: Sql) -> None:
    one, other = await new_person(), await new_person()
    async with sql.transaction():
        await sql.execute(
            "SELECT * FROM lots JOIN wallets USING (book) WHERE account = $1 FOR UPDATE OF lots", one
        )
        waiting = asyncio.create_task(ledger.place(one, uuid4(), 1, LIFETIME))
        assert (await asyncio.wait_for(ledger.place(other, uuid4(), 1, LIFETIME), 5)).hold
        assert not waiting.done()
    assert (await waiting).hold


async def test_turns_are_taken_one_after_the_other_and_forgotten() -> None:
    turns, key, inside, most = Turns(2), uuid4(), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with turns.take(key):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 2
    assert not turns._queues
