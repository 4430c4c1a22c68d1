"""Whose account is deleted has no job left, and what is under way for them ends, whoever is at it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.generation.v1 import events_pb2, generation_pb2
from crafiq.promises.v1 import promises_pb2
from crafiq.promises.v1.promises_pb2_grpc import DataHolderStub

from chassis.db import Isolation
from chassis.errors import Refusal
from services.generation.adapters.openai import OpenAI
from tests.integration.generation.test_ending import cancel, delete, sent
from tests.integration.generation.test_forgetting import Forgiving
from tests.integration.generation.world import Person, World
from tests.integration.leaving import deleted, erased, isolation, later, naming
from tests.support import eventually

__all__ = ["isolation"]
promise = pytest.mark.promise("9-delete-now", "6-responsibility")


async def leave(person: Person, erasure: UUID | None = None) -> promises_pb2.Findings:
    """Delete the account, as generation hears of it; answers what is found there afterwards."""
    erasure = erasure or uuid4()
    await person.world.publish("identity", deleted(person.id, erasure))
    async with person.world.channel("privacy") as channel:
        return await erased(channel, person.id, erasure)


async def remains(person: Person) -> dict[str, int]:
    """Rows that name somebody, by table."""
    return dict(await naming(person.world.sql, person.id))


@promise
async def test_a_job_at_a_vendor_ends_with_its_person_and_its_copy_is_accounted_for(
    generation: World, person: Person, isolation: Isolation
) -> None:
    order = await sent(person, prompt := f"a slow harp {uuid4()}")
    erasure = uuid4()
    found = await leave(person, erasure)
    assert (list(found.found), list(found.left)) == ([], [])
    [copy] = found.vendor_copies
    assert (copy.vendor, copy.count) == ("vendors/openai", 1)
    assert await remains(person) == {}
    # Billing gives the hold back.
    told = [name for name, body in await generation.announced(person.id) if order.name.encode() in body]
    assert told == ["GenerationCreated", "GenerationCancelled"]

    async def answered() -> bool:
        rows = await generation.sql("SELECT heard, unwanted FROM vendor_copies WHERE erasure = $1", erasure)
        return [tuple(row) for row in rows] == [(True, True)]

    await eventually(answered, timeout=20)  # what the vendor then says is heard, and goes nowhere
    assert generation.peers.assets.of(order.name) == []
    assert await remains(person) == {}
    assert len(await generation.openai.requests(prompt)) == 1


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch) -> Forgiving:
    """The running service's vendor, which now removes copies when it is asked to; OpenAI does not."""
    vendor = Forgiving()
    monkeypatch.setattr(OpenAI, "purge", vendor.purge)
    return vendor


async def references(person: Person) -> list[str]:
    """What the vendor calls the requests that it was sent for somebody."""
    rows = await person.world.sql(
        "SELECT reference FROM vendor_copies JOIN egress USING (id) WHERE account = $1", person.id
    )
    return sorted(row["reference"] for row in rows)


@promise
async def test_a_vendor_that_lets_us_has_no_copy_when_its_person_is_gone(
    person: Person, other: Person, forgiving: Forgiving
) -> None:
    for each in (person, person, other):
        await each.ended((await each.order(f"a quick harp {uuid4()}")).name)
    theirs, anothers = await references(person), await references(other)
    found = await leave(person)
    assert (list(found.found), list(found.left), list(found.vendor_copies)) == ([], [], [])
    # The service goes round by itself too, and asks for what earlier tests left.
    assert (sorted(forgiving.of(theirs)), len(theirs)) == (theirs, 2)
    assert await references(other) == anothers
    assert await remains(person) == {}


@promise
async def test_a_vendor_that_is_away_is_asked_again_and_the_erasure_waits_for_it(
    person: Person, forgiving: Forgiving
) -> None:
    for _ in range(2):
        await person.ended((await person.order(f"a quick harp {uuid4()}")).name)
    first, second = await references(person)
    forgiving.away, erasure = {first}, uuid4()
    await person.world.publish("identity", deleted(person.id, erasure))
    request = promises_pb2.VerifyRequest(account=person.account, erasure=f"erasures/{erasure}")
    async with person.world.channel("privacy") as channel:
        holder: Any = DataHolderStub(channel)

        async def refused() -> promises_pb2.Findings:
            found: promises_pb2.Findings = await holder.Verify(request, timeout=10)
            assert found.standing.tries > 0
            return found

        found = await eventually(refused, timeout=15)
        # The rows are gone, and so is what the other copy was; who is away is waited for, and said to be.
        assert found.standing.progress == promises_pb2.ROWS_GONE
        assert [copy.count for copy in found.vendor_copies] == [1]
        assert await remains(person) == {"erasures": 1}
        assert forgiving.of([first, second]) == [second]
        forgiving.away.clear()
        found = await erased(channel, person.id, erasure)
    assert (list(found.left), list(found.vendor_copies)) == ([], [])
    assert forgiving.of([first, second]) == [second, first]
    assert await remains(person) == {}


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    generation: World, person: Person, other: Person, isolation: Isolation
) -> None:
    """Orders, cancellations and deletions meet the erasure; workers deliver, vendors answer."""
    chance, ends = random.Random(20261127), Counter[str]()
    theirs = await other.order(f"a patient lute {uuid4()}")
    for turn in range(12):
        if turn >= 4 and min(ends["done"], ends["refused"]) > 3:
            break  # else a machine that stood still let all be done before, or nobody
        async with generation.person() as leaving:
            done = [await leaving.order(f"a quick lute {uuid4()}") for _ in range(3)]
            at_work: list[Awaitable[Any]] = [
                *(leaving.order(f"a late lute {uuid4()}") for _ in range(6)),
                cancel(leaving, done[0].name),
                delete(leaving, done[1].name),
                leaving.watch(done[2].name),
            ]
            tasks = [later(chance.uniform(0, 0.15), each) for each in at_work]
            outcomes = await asyncio.gather(*tasks, later(0.05, leave(leaving)), return_exceptions=True)
            assert not isinstance(outcomes[-1], BaseException), outcomes[-1]
            for outcome in outcomes[:-1]:
                assert not isinstance(outcome, BaseException) or isinstance(outcome, Refusal), outcome
                ends["refused" if isinstance(outcome, Refusal) else "done"] += 1
            assert await remains(leaving) == {}
            settled = await generation.announced(leaving.id)
            created = [body for name, body in settled if name == "GenerationCreated"]
            assert sum(name in _ENDS for name, _ in settled) == len(created)
    assert min(ends["done"], ends["refused"]) > 3, ends  # the race was one
    assert (await other.ended(theirs.name)).state == generation_pb2.SUCCEEDED


_ENDS = {
    kind.DESCRIPTOR.name
    for kind in (
        events_pb2.GenerationSucceeded,
        events_pb2.GenerationFailed,
        events_pb2.GenerationCancelled,
    )
}
