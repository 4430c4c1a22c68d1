"""Two requests with one id at the same moment, of which one is refused: they share a hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.generation.v1 import generation_pb2

from chassis.errors import Refusal
from tests.integration.generation.peers import Assets
from tests.integration.generation.world import Person, World
from tests.support import eventually
from tests.unit.generation.test_pictures import picture

ROUNDS = 24


def photo(generation: World, person: Person) -> str:
    return generation.peers.assets.add(person.account, picture(size=(256, 256)), "image/png")


async def refusal(order: Awaitable[Any]) -> str:
    """The reason why it is refused."""
    with pytest.raises(Refusal) as refused:
        await order
    return refused.value.reason


def gate(assets: Assets, name: str) -> asyncio.Event:
    assets.gates[name] = asyncio.Event()
    return assets.gates[name]


def holds(generation: World, person: Person) -> dict[str, int]:
    """The person's holds and their states."""
    holds, owners = generation.peers.billing.holds, generation.peers.billing.owners
    return {name: hold.state for name, hold in holds.items() if owners[name] == person.account}


async def held(generation: World, person: Person) -> None:
    """Wait until the one hold stands."""

    async def there() -> bool:
        return list(holds(generation, person).values()) == [billing_pb2.HELD]

    await eventually(there)


async def listed(person: Person) -> list[generation_pb2.Generation]:
    answer = await person.call("ListGenerations", generation_pb2.ListGenerationsRequest(page_size=100))
    return list(answer.generations)


@pytest.mark.promise("3-transactions")
async def test_a_refused_twin_does_not_give_back_what_pays_for_the_other(
    generation: World, person: Person
) -> None:
    mine, foreign, request_id = photo(generation, person), f"assets/{uuid4()}", str(uuid4())
    late = gate(generation.peers.assets, foreign)
    twin = asyncio.create_task(person.order("in tin", input_assets=[foreign], request_id=request_id))
    await held(generation, person)
    order = await person.order("in tin", input_assets=[mine], request_id=request_id)
    late.set()
    assert await refusal(twin) == "REQUEST_ID_REUSED"
    assert holds(generation, person) == {order.name: billing_pb2.HELD}
    assert (await person.ended(order.name)).state == generation_pb2.SUCCEEDED


@pytest.mark.promise("3-transactions")
async def test_an_order_whose_twin_was_refused_first_does_not_come_about(
    generation: World, person: Person
) -> None:
    mine, foreign, request_id = photo(generation, person), f"assets/{uuid4()}", str(uuid4())
    late = gate(generation.peers.assets, mine)
    order = asyncio.create_task(person.order("in tin", input_assets=[mine], request_id=request_id))
    await held(generation, person)
    refused = refusal(person.order("in tin", input_assets=[foreign], request_id=request_id))
    assert await refused == "ASSET_NOT_FOUND"
    late.set()
    assert await refusal(order) == "REQUEST_ID_REUSED"
    assert list(holds(generation, person).values()) == [billing_pb2.RELEASED]
    assert await listed(person) == []


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize("first", ["ordered", "refused"])
async def test_an_input_that_is_deleted_between_a_request_and_its_repetition(
    generation: World, person: Person, first: str
) -> None:
    assets, request_id, mine = generation.peers.assets, str(uuid4()), photo(generation, person)
    content = assets.inputs[person.account, mine]
    if first == "refused":
        del assets.inputs[person.account, mine]
    late = gate(assets, mine)
    waiting = asyncio.create_task(person.order("in tin", input_assets=[mine], request_id=request_id))
    await held(generation, person)
    del assets.gates[mine]  # the other one is answered at once
    if first == "ordered":
        order = await person.order("in tin", input_assets=[mine], request_id=request_id)
        await person.ended(order.name)
        del assets.inputs[person.account, mine]
        late.set()
        # Whoever asks again finds what was ordered, and it stays paid for.
        assert (await waiting).name == order.name
        assert holds(generation, person) == {order.name: billing_pb2.HELD}
    else:
        asking = refusal(person.order("in tin", input_assets=[mine], request_id=request_id))
        assert await asking == "ASSET_NOT_FOUND"
        assets.inputs[person.account, mine] = content
        late.set()
        assert await refusal(waiting) == "ORDER_ENDED"
        assert list(holds(generation, person).values()) == [billing_pb2.RELEASED]
        assert await listed(person) == []


@pytest.mark.promise("3-transactions")
async def test_many_twins_at_once_leave_a_hold_for_every_job_and_none_without(
    generation: World, person: Person
) -> None:
    chance = random.Random(7)

    async def twin(asset: str, request_id: str, wait: float) -> None:
        await asyncio.sleep(wait)
        try:
            await person.order("in tin", input_assets=[asset], request_id=request_id)
        except Refusal as refused:
            assert refused.reason in {"ASSET_NOT_FOUND", "ORDER_ENDED", "REQUEST_ID_REUSED"}  # noqa: PT017

    for _ in range(ROUNDS):
        pair, request_id = [photo(generation, person), f"assets/{uuid4()}"], str(uuid4())
        await asyncio.gather(*(twin(asset, request_id, chance.uniform(0, 0.004)) for asset in pair * 2))
    orders = await listed(person)
    assert 0 < len(orders) < ROUNDS  # both were first at times
    for order in orders:
        assert (await person.ended(order.name, timeout=30)).state == generation_pb2.SUCCEEDED
    found = holds(generation, person)
    assert len(found) == ROUNDS
    paying = {name for name, state in found.items() if state == billing_pb2.HELD}
    assert paying == {order.name for order in orders}
