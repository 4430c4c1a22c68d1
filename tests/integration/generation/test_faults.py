"""Whatever goes wrong, a job ends once, nothing undelivered is charged, and the vendor is not asked twice."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from crafiq.generation.v1 import events_pb2, generation_pb2

from chassis.errors import Refusal
from tests.integration.generation.world import Person, World
from tests.unit.generation.test_pictures import picture

# Fault at the vendor -> why the job fails, how the record ends, how often the vendor is asked.
FAULTS = [
    ({"kind": "delay", "seconds": 30}, "OUTCOME_UNKNOWN", "UNKNOWN", 1),
    ({"kind": "accepted_answer_lost"}, "OUTCOME_UNKNOWN", "UNKNOWN", 1),
    ({"kind": "500"}, "OUTCOME_UNKNOWN", "UNKNOWN", 1),
    ({"kind": "503"}, "OUTCOME_UNKNOWN", "UNKNOWN", 1),
    ({"kind": "429", "seconds": 0}, "VENDOR_UNAVAILABLE", "NOT_ACCEPTED", 4),
    ({"kind": "insufficient_quota"}, "VENDOR_UNAVAILABLE", "NOT_ACCEPTED", 1),
    ({"kind": "refusal"}, "CONTENT_REFUSED", "ANSWERED", 1),
    ({"kind": "garbage"}, "OUTPUT_INVALID", "ANSWERED", 1),
    ({"kind": "truncated"}, "OUTPUT_INVALID", "ANSWERED", 1),
]
# These wait for clocks; the ways that they take are taken by others here, too.
LONG = {"delay", "500", "503", "429"}


@pytest.mark.promise("3-generate", "3-transactions")
@pytest.mark.parametrize(
    ("fault", "reason", "outcome", "asked"),
    [
        pytest.param(*f, id=f[0]["kind"], marks=[pytest.mark.slow] if f[0]["kind"] in LONG else [])
        for f in FAULTS
    ],
)
async def test_a_fault_of_the_vendor_ends_in_one_state_and_charges_nothing(
    generation: World, person: Person, fault: dict[str, Any], reason: str, outcome: str, asked: int
) -> None:
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({**fault, "match": prompt, "times": None})
    order = await person.order(prompt, count=2)
    done = await person.ended(order.name)
    assert done.state == generation_pb2.FAILED
    assert done.failure_reason == reason
    assert done.charged_credits == 0
    assert list(done.output_assets) == []
    assert done.note.endswith("Nothing was charged.")
    [_, failed] = await generation.heard(person, "GenerationCreated", "GenerationFailed")
    assert events_pb2.GenerationFailed.FromString(failed[1]).reason == reason
    assert [sent.outcome for sent in await person.egress(order.name)] == [outcome] * asked
    assert len(await generation.openai.requests(prompt)) == asked
    assert generation.peers.assets.of(order.name) == []
    await generation.openai.fault()


@pytest.mark.promise("3-generate")
async def test_what_was_not_accepted_is_asked_for_again_and_delivered(
    generation: World, person: Person
) -> None:
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({"kind": "429", "seconds": 0, "match": prompt, "times": 2})
    order = await person.order(prompt)
    done = await person.ended(order.name)
    assert done.state == generation_pb2.SUCCEEDED
    assert [sent.outcome for sent in await person.egress(order.name)] == [
        "NOT_ACCEPTED", "NOT_ACCEPTED", "ANSWERED",
    ]  # fmt: skip
    states = [event.data["state"] for event in await person.watch(order.name)]
    assert states == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "QUEUED", "RUNNING", "RUNNING", "SUCCEEDED"]


async def test_while_the_fate_is_unknown_it_shows_as_running_and_nobody_else_is_asked(
    generation: World, person: Person
) -> None:
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({"kind": "accepted_answer_lost", "match": prompt})
    order = await person.order(prompt)
    events = await person.watch(order.name)
    assert [event.data["state"] for event in events] == ["QUEUED", "RUNNING", "RUNNING", "FAILED"]
    assert events[2].data["note"] == "The vendor has not answered. If nothing arrives, nothing is charged."
    assert len(await generation.openai.requests(prompt)) == 1


async def test_an_input_that_is_not_what_it_was_ends_the_job_before_anything_leaves(
    generation: World, person: Person
) -> None:
    prompt = f"in copper {uuid4()}"
    assets = generation.peers.assets
    photo = assets.add(person.account, picture("PNG", (256, 256)), "image/png")
    assets.down.update({"OpenInput": 1, "bytes": 1})
    order = await person.order(prompt, input_assets=[photo])
    assert (await person.ended(order.name)).state == generation_pb2.SUCCEEDED
    assert len(await person.egress(order.name)) == 1
    lost = assets.add(person.account, picture("PNG", (256, 256)), "image/png")
    assets.broken.add(lost)
    order = await person.order(f"{prompt} again", input_assets=[lost])
    done = await person.ended(order.name)
    assert done.failure_reason == "INPUT_UNAVAILABLE"
    assert await person.egress(order.name) == []


async def test_storage_that_is_away_for_a_moment_loses_nothing(generation: World, person: Person) -> None:
    generation.peers.assets.down["StoreOutput"] = 6
    order = await person.order(f"a tin drum {uuid4()}", count=2)
    done = await person.ended(order.name)
    assert done.state == generation_pb2.SUCCEEDED
    assert len(done.output_assets) == 2
    assert generation.peers.assets.down["StoreOutput"] == 0


@pytest.mark.promise("3-transactions")
async def test_only_what_could_be_stored_is_charged(generation: World, person: Person) -> None:
    prompt = f"a tin drum {uuid4()}"
    generation.peers.assets.full = {1}
    order = await person.order(prompt, count=3)
    done = await person.ended(order.name)
    generation.peers.assets.full = set()
    assert done.state == generation_pb2.SUCCEEDED
    assert len(done.output_assets) == 1
    assert (done.quoted_credits, done.charged_credits) == (12, 4)
    assert "1 of 3" in done.note
    [_, succeeded] = await generation.heard(person, "GenerationCreated", "GenerationSucceeded")
    assert events_pb2.GenerationSucceeded.FromString(succeeded[1]).credits == 4


@pytest.mark.promise("3-transactions")
async def test_without_enough_credits_nothing_is_ordered(generation: World, person: Person) -> None:
    generation.peers.billing.poor.add(person.account)
    with pytest.raises(Refusal) as refused:
        await person.order(f"a tin drum {uuid4()}", count=4)
    assert refused.value.reason == "INSUFFICIENT_CREDITS"
    assert str(refused.value) == "This costs 16 credits and you have 0."
    listed = await person.call("ListGenerations", generation_pb2.ListGenerationsRequest())
    assert list(listed.generations) == []


@pytest.mark.promise("3-transactions", "8-least-priv")
async def test_the_hold_of_an_order_with_foreign_input_is_given_back(
    generation: World, person: Person, other: Person
) -> None:
    photo = generation.peers.assets.add(other.account, picture(), "image/png")
    request_id = str(uuid4())
    with pytest.raises(Refusal) as refused:
        await person.order("mine now", input_assets=[photo], request_id=request_id)
    assert refused.value.status == "NOT_FOUND"
    assert _held(generation, person) == [0]
    # The id is used up: what it would hold now, it held before.
    mine = generation.peers.assets.add(person.account, picture(size=(256, 256)), "image/png")
    with pytest.raises(Refusal) as refused:
        await person.order("mine now", input_assets=[mine], request_id=request_id)
    assert refused.value.reason == "ORDER_ENDED"


def _held(generation: World, person: Person) -> list[int]:
    billing = generation.peers.billing
    return [hold.credits for name, hold in billing.holds.items() if billing.owners[name] == person.account]


async def test_an_input_of_a_wrong_kind_is_refused_and_its_hold_given_back(
    generation: World, person: Person
) -> None:
    mesh = generation.peers.assets.add(person.account, b"glTF", "model/gltf-binary")
    with pytest.raises(Refusal) as refused:
        await person.order("in copper", input_assets=[mesh])
    assert refused.value.reason == "INPUT_TYPE_UNSUPPORTED"
    assert _held(generation, person) == [0]


@pytest.mark.parametrize("peer", ["assets", "billing"])
async def test_a_peer_that_is_away_leaves_the_request_to_be_repeated(
    generation: World, person: Person, peer: str
) -> None:
    prompt, request_id = f"in copper {uuid4()}", str(uuid4())
    photo = generation.peers.assets.add(person.account, picture(size=(256, 256)), "image/png")
    rpc = {"assets": "CheckInputs", "billing": "PlaceHold"}[peer]
    getattr(generation.peers, peer).down[rpc] = 1
    with pytest.raises(Refusal) as refused:
        await person.order(prompt, input_assets=[photo], request_id=request_id)
    assert refused.value.status == "UNAVAILABLE"
    order = await person.order(prompt, input_assets=[photo], request_id=request_id)
    assert (await person.ended(order.name)).state == generation_pb2.SUCCEEDED


@pytest.mark.slow
async def test_a_person_who_is_not_known_yet_is_waited_for(generation: World, person: Person) -> None:
    await generation.sql("DELETE FROM subjects WHERE account = $1", person.id)
    with pytest.raises(Refusal) as refused:
        await person.order(f"too early {uuid4()}")
    assert refused.value.status == "UNAVAILABLE"
    assert refused.value.retry_after is not None
