"""A person ends what they want no more, and deletes what has ended: one end, one settlement, no surprise."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.generation.v1 import generation_pb2, generation_pb2_grpc

from chassis.errors import Refusal
from chassis.rpc import refusal_from
from chassis.service import Service
from services.generation.repository import Changes, Jobs
from tests.integration.generation.world import ENDS, Person, World
from tests.support import eventually

# Seconds in which a test does what it does while the vendor is at it, on a machine that may stand still.
SLOW_VENDOR, SLOWER_VENDOR = 3.0, 6.0


async def cancel(person: Person, name: str) -> generation_pb2.Generation:
    request = generation_pb2.CancelGenerationRequest(name=name)
    cancelled: generation_pb2.Generation = await person.call("CancelGeneration", request)
    return cancelled


async def delete(person: Person, name: str) -> generation_pb2.GenerationReceipt:
    request = generation_pb2.DeleteGenerationRequest(name=name)
    receipt: generation_pb2.GenerationReceipt = (await person.call("DeleteGeneration", request)).receipt
    return receipt


async def wait_in_line(person: Person, count: int = 1) -> list[generation_pb2.Generation]:
    """Orders that no worker takes: as many as one person may have under way are, at a slow vendor."""
    prompt = f"a slow drum {uuid4()}"
    fault = {"kind": "delay", "seconds": SLOWER_VENDOR, "match": prompt, "times": None}
    await person.world.openai.fault(fault)
    busy = [await person.order(prompt) for _ in range(4)]

    async def running() -> bool:
        return all([(await person.get(one.name)).state == generation_pb2.RUNNING for one in busy])

    await eventually(running)
    return [await person.order(f"a patient drum {uuid4()}") for _ in range(count)]


async def sent(person: Person, prompt: str) -> generation_pb2.Generation:
    """An order that its vendor has received, and is slow about."""
    await person.world.openai.fault({"kind": "delay", "seconds": SLOW_VENDOR, "match": prompt, "times": None})
    order = await person.order(prompt)

    async def asked() -> bool:
        return bool(await person.egress(order.name))

    await eventually(asked)
    return order


@pytest.mark.promise("3-transactions")
async def test_what_waits_is_cancelled_at_once_and_its_hold_let_go(generation: World, person: Person) -> None:
    [order] = await wait_in_line(person)
    done = await cancel(person, order.name)
    assert (done.state, done.charged_credits) == (generation_pb2.CANCELLED, 0)
    assert done.note == "Cancelled. Nothing was charged."
    assert done.HasField("end_time")
    assert await cancel(person, order.name) == done

    async def told() -> bool:
        found = await generation.announced(person.id)
        about = [name for name, body in found if order.name.encode() in body]
        return about == ["GenerationCreated", "GenerationCancelled"]

    await eventually(told)
    assert await person.egress(order.name) == []


@pytest.mark.promise("3-transactions")
async def test_what_a_vendor_is_at_ends_with_its_answer_which_is_thrown_away(
    generation: World, person: Person
) -> None:
    order = await sent(person, f"a slow drum {uuid4()}")
    told = await cancel(person, order.name)
    assert told.state == generation_pb2.RUNNING
    assert told.note.startswith("Being cancelled")
    assert await cancel(person, order.name) == told
    done = await person.ended(order.name)
    assert (done.state, done.charged_credits) == (generation_pb2.CANCELLED, 0)
    assert generation.peers.assets.of(order.name) == []
    [record] = await person.egress(order.name)
    assert record.outcome == "ANSWERED"
    await generation.heard(person, "GenerationCreated", "GenerationCancelled")
    states = [event.data["state"] for event in await person.watch(order.name)]
    assert states == ["QUEUED", "RUNNING", "RUNNING", "CANCELLED"]


async def test_what_a_vendor_never_answers_is_cancelled_and_not_unknown(
    generation: World, person: Person
) -> None:
    prompt = f"a lost drum {uuid4()}"
    await generation.openai.fault({"kind": "accepted_answer_lost", "match": prompt})
    order = await person.order(prompt)

    async def lost() -> bool:
        return "has not answered" in (await person.get(order.name)).note

    await eventually(lost)
    assert (await cancel(person, order.name)).state == generation_pb2.CANCELLED
    await generation.heard(person, "GenerationCreated", "GenerationCancelled")


@pytest.mark.promise("3-transactions")
async def test_what_was_stored_before_it_was_cancelled_is_delivered_and_charged(
    generation: World, person: Person
) -> None:
    assets = generation.peers.assets
    order = await person.order(f"three drums {uuid4()}", count=3)

    async def first_is_stored() -> bool:
        assets.down["StoreOutput"] = 1000 if assets.of(order.name) else 0
        return bool((await person.get(order.name)).output_assets)

    try:
        await eventually(first_is_stored)
        await cancel(person, order.name)
    finally:
        assets.down["StoreOutput"] = 0
    done = await person.ended(order.name)
    assert done.state == generation_pb2.SUCCEEDED
    assert list(done.output_assets) == [each.name for each in assets.of(order.name)]
    assert done.charged_credits == 4 * len(done.output_assets)


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize("states", [0, 2, 3], ids=["waiting", "at the vendor", "being stored"])
async def test_whenever_a_cancel_comes_there_is_one_end_and_one_settlement(
    generation: World, person: Person, states: int
) -> None:
    async def race() -> generation_pb2.Generation:
        order = await person.order(f"a racing drum {uuid4()}", count=2)
        seen = aiter(person.watching(order.name))
        for _ in range(states):
            await anext(seen, None)
        # Three at once, against the worker that claims, concludes and stores.
        await asyncio.gather(*(cancel(person, order.name) for _ in range(3)))
        return await person.ended(order.name)

    done = await asyncio.gather(*(race() for _ in range(4)))

    async def told() -> list[tuple[str, bytes]] | None:
        found = await generation.announced(person.id)
        return found if len(found) >= 2 * len(done) else None

    announced = await eventually(told) or []
    for one in done:
        ends = [n for n, body in announced if one.name.encode() in body and n != "GenerationCreated"]
        succeeded = one.state == generation_pb2.SUCCEEDED
        assert ends == ["GenerationSucceeded" if succeeded else "GenerationCancelled"]
        stored = [each.name for each in generation.peers.assets.of(one.name)]
        assert (list(one.output_assets), one.charged_credits) == (stored, 4 * len(stored))
        states_gone_through = await generation.sql(
            "SELECT state FROM transitions WHERE generation = $1", one.name.split("/")[1]
        )
        assert len([1 for row in states_gone_through if row["state"] in ENDS]) == 1


@pytest.mark.promise("8-least-priv", "2b-output-owner")
async def test_another_persons_generation_can_be_neither_cancelled_nor_deleted(
    person: Person, other: Person
) -> None:
    order = await person.order(f"a door handle {uuid4()}")
    for attempt in (cancel, delete):
        with pytest.raises(Refusal) as refused:
            await attempt(other, order.name)
        assert refused.value.reason == "GENERATION_NOT_FOUND"
    assert (await person.ended(order.name)).state == generation_pb2.SUCCEEDED


@pytest.mark.promise("9-delete-item", "5-egress-log")
async def test_what_has_ended_is_deleted_with_its_words_and_the_record_stays(
    generation: World, person: Person
) -> None:
    request_id = str(uuid4())
    prompt = f"a private drum {uuid4()}"
    order = await person.order(prompt, request_id=request_id)
    done = await person.ended(order.name)
    receipt = await delete(person, order.name)
    assert receipt.generation == order.name
    assert (receipt.attempts, receipt.egress_kept, receipt.outputs_made) == (1, 1, 1)
    assert receipt.states == 4
    assert list(receipt.outputs_kept) == list(done.output_assets)  # an asset each, to be deleted there
    with pytest.raises(Refusal) as refused:
        await person.get(order.name)
    assert refused.value.reason == "GENERATION_NOT_FOUND"
    generation_id = order.name.split("/")[1]
    for table, key in (("jobs", "id"), ("transitions", "generation"), ("attempts", "generation")):
        found = await generation.sql(f"SELECT 1 FROM {table} WHERE {key} = $1", generation_id)  # noqa: S608
        assert found == []
    assert [line.outcome for line in await person.egress(order.name)] == ["ANSWERED"]
    assert [stored.name for stored in generation.peers.assets.of(order.name)] == list(done.output_assets)
    with pytest.raises(Refusal) as refused:
        await person.order(prompt, request_id=request_id)
    assert refused.value.status in ("NOT_FOUND", "FAILED_PRECONDITION")
    with pytest.raises(Refusal):
        await delete(person, order.name)


async def test_what_is_under_way_has_to_be_cancelled_before_it_is_deleted(person: Person) -> None:
    order = await sent(person, f"a slow drum {uuid4()}")
    with pytest.raises(Refusal) as refused:
        await delete(person, order.name)
    assert refused.value.reason == "GENERATION_UNDER_WAY"
    assert f"POST /v1/{order.name}:cancel" in str(refused.value)
    await cancel(person, order.name)
    await person.ended(order.name)
    assert (await delete(person, order.name)).outputs_made == 0


async def test_a_hold_that_paid_for_something_deleted_pays_for_nothing_else(
    generation: World, person: Person
) -> None:
    request_id, prompt = str(uuid4()), f"a drum for ever {uuid4()}"
    order = await person.order(prompt, request_id=request_id)
    await person.ended(order.name)
    await delete(person, order.name)
    await generation.sql("DELETE FROM requests WHERE account = $1", person.id)  # a week later
    generation.peers.billing.holds[order.name].state = billing_pb2.CAPTURED
    with pytest.raises(Refusal) as refused:
        await person.order(prompt, request_id=request_id)
    assert refused.value.reason == "ORDER_ENDED"


async def test_a_queue_has_its_length_and_repeated_orders_are_not_counted(
    generation: World, person: Person
) -> None:
    await generation.sql(WAITING, person.id)
    with pytest.raises(Refusal) as refused:
        await person.order("one too many")
    assert (refused.value.reason, refused.value.status) == ("QUEUE_FULL", "RESOURCE_EXHAUSTED")
    assert refused.value.retry_after is not None
    assert "50 generations of yours are waiting" in str(refused.value)
    request = generation_pb2.ListGenerationsRequest(page_size=1, state=generation_pb2.QUEUED)
    [waiting] = (await person.call("ListGenerations", request)).generations
    await cancel(person, waiting.name)
    assert (await person.order("there is room again")).state == generation_pb2.QUEUED


# As many as may wait, not due before tomorrow.
WAITING = """
    INSERT INTO jobs (id, account, state, seq, note, task, model, vendor, prompt, inputs, parameters, count,
        unit_credits, outputs, charged_credits, attempts, not_before, create_time, trace)
    SELECT gen_random_uuid(), $1, 'RESERVED', 1, '', 'TEXT_TO_IMAGE', 'gpt-image-2.6-flare', 'openai', 'x',
        '[]', '{}', 1, 4, '[]', 0, 0, now() + interval '1 day', now(), '' FROM generate_series(1, 50)
"""


async def test_a_list_of_those_in_one_state(person: Person) -> None:
    made = await person.order(f"a drum {uuid4()}")
    await person.ended(made.name)
    [waiting] = await wait_in_line(person)
    await cancel(person, waiting.name)

    async def listed(state: int, token: str = "") -> generation_pb2.ListGenerationsResponse:
        request = generation_pb2.ListGenerationsRequest(state=state, page_size=3, page_token=token)  # type: ignore[arg-type]  # any number
        answer: generation_pb2.ListGenerationsResponse = await person.call("ListGenerations", request)
        return answer

    cancelled = await listed(generation_pb2.CANCELLED)
    assert [one.name for one in cancelled.generations] == [waiting.name]
    running = await listed(generation_pb2.RUNNING)
    assert (len(running.generations), bool(running.next_page_token)) == (3, True)
    with pytest.raises(Refusal) as refused:
        await listed(generation_pb2.QUEUED, running.next_page_token)
    assert refused.value.reason == "PAGE_TOKEN_INVALID"
    with pytest.raises(Refusal) as refused:
        await listed(77)
    assert refused.value.status == "INVALID_ARGUMENT"


async def outcome(generation: World, name: str) -> generation_pb2.Outcome:
    """What billing is told; raises the refusal."""
    async with generation.channel("billing") as channel:
        billing = generation_pb2_grpc.GenerationServiceStub(channel)
        try:
            found: generation_pb2.Outcome = await billing.GetOutcome(
                generation_pb2.GetOutcomeRequest(generation=name), timeout=5
            )
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from None
        return found


@pytest.mark.promise("8-least-priv", "8-minimise")
async def test_billing_alone_may_ask_what_became_of_a_job_and_hears_no_more_than_that_it_ended_and_the_price(
    generation: World, person: Person
) -> None:
    order = await sent(person, f"a slow drum {uuid4()}")
    told = await outcome(generation, order.name)
    assert told == generation_pb2.Outcome(generation=order.name, state=generation_pb2.RUNNING)
    done = await person.ended(order.name)
    told = await outcome(generation, order.name)
    assert told == generation_pb2.Outcome(generation=order.name, credits=done.charged_credits)
    with pytest.raises(Refusal) as refused:
        await outcome(generation, f"generations/{uuid4()}")
    assert refused.value.reason == "GENERATION_NOT_FOUND"
    with pytest.raises(Refusal) as refused:
        await person.call("GetOutcome", generation_pb2.GetOutcomeRequest(generation=order.name))
    assert refused.value.status == "PERMISSION_DENIED"


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize("by", ["its owner", "erasing its owner"])
async def test_what_a_deleted_job_cost_is_known_for_30_days(
    generation: World, service: Service, person: Person, by: str
) -> None:
    order = await person.order(f"a drum {uuid4()}", count=2)
    done = await person.ended(order.name)
    assert done.charged_credits > 0
    if by == "its owner":
        await delete(person, order.name)
    else:
        await generation.sql("DELETE FROM subjects WHERE account = $1", person.id)
    told = await outcome(generation, order.name)
    assert told == generation_pb2.Outcome(generation=order.name, credits=done.charged_credits)
    await aged(generation, order.name, days=29)
    assert (await Jobs(service.db, Changes()).forget(), await outcome(generation, order.name)) == (0, told)
    await aged(generation, order.name, days=2)
    assert await Jobs(service.db, Changes()).forget() == 1
    with pytest.raises(Refusal) as refused:
        await outcome(generation, order.name)
    assert refused.value.reason == "GENERATION_NOT_FOUND"


async def aged(generation: World, name: str, *, days: int) -> None:
    """As if it had ended that many days earlier."""
    statement = "UPDATE outcomes SET day = day - $2::int WHERE id = $1"
    await generation.sql(statement, name.split("/")[1], days)


async def test_what_failed_or_was_cancelled_cost_nothing_and_this_is_known_too(
    generation: World, person: Person
) -> None:
    [order] = await wait_in_line(person)
    await cancel(person, order.name)
    await delete(person, order.name)
    assert await outcome(generation, order.name) == generation_pb2.Outcome(generation=order.name)
