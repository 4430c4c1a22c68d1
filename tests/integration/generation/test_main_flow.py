"""Words and pictures become pictures: ordered, made, stored, announced, watched, on record."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from crafiq.generation.v1 import events_pb2, generation_pb2

from chassis.errors import Refusal
from services.generation.adapters.pictures import type_of
from tests.integration.generation.world import Person, World
from tests.unit.generation.test_pictures import picture


@pytest.mark.promise("3-generate", "6-core")
async def test_words_become_pictures_in_the_library(generation: World, person: Person) -> None:
    prompt = f"a brass key {uuid4()}"
    order = await person.order(prompt, count=2)
    assert order.state == generation_pb2.QUEUED
    assert order.quoted_credits == 8
    assert (order.model, order.vendor) == ("gpt-image-2.6-flare", "openai")
    done = await person.ended(order.name)
    assert done.state == generation_pb2.SUCCEEDED
    assert done.charged_credits == 8
    stored = generation.peers.assets.of(order.name)
    assert list(done.output_assets) == [each.name for each in stored]
    assert [type_of(each.content) for each in stored] == ["image/png", "image/png"]
    assert [each.header.account for each in stored] == [person.account] * 2
    hold = generation.peers.billing.holds[order.name]
    assert hold.credits == 8
    events = await generation.heard(person, "GenerationCreated", "GenerationSucceeded")
    assert events_pb2.GenerationSucceeded.FromString(events[1][1]) == events_pb2.GenerationSucceeded(
        account=person.account, generation=order.name, credits=8
    )


@pytest.mark.promise("5-egress-log", "5-ai-min-input", "10-map")
async def test_a_picture_becomes_another_and_it_is_on_record_what_left(
    generation: World, person: Person
) -> None:
    prompt = f"in copper für {uuid4()}"
    content = picture("JPEG", (256, 256))
    photo = generation.peers.assets.add(person.account, content, "image/jpeg")
    order = await person.order(prompt, input_assets=[photo], parameters={"output_format": "webp"})
    done = await person.ended(order.name)
    assert done.state == generation_pb2.SUCCEEDED, done.note
    [stored] = generation.peers.assets.of(order.name)
    assert type_of(stored.content) == "image/webp"
    assert list(stored.header.inputs) == [photo]
    [sent] = await person.egress(order.name)
    assert (sent.vendor, sent.model) == ("vendors/openai", "models/gpt-image-2.6-flare")
    assert (sent.region, sent.sandbox, sent.outcome) == ("US", True, "ANSWERED")
    assert list(sent.assets) == [photo]
    assert sent.size_bytes == len(content) + len(prompt.encode())
    assert (sent.expire_time.ToDatetime() - sent.sent_time.ToDatetime()).days == 30
    [seen] = await generation.openai.requests(prompt)
    received = {"prompt", "model", *seen["parameters"], *(f["field"].rstrip("[]") for f in seen["files"])}
    assert received == set(sent.fields)


async def test_asked_twice_with_one_id_one_thing_is_made(generation: World, person: Person) -> None:
    prompt, request_id = f"a paper boat {uuid4()}", str(uuid4())
    first, second = await asyncio.gather(*(person.order(prompt, request_id=request_id) for _ in range(2)))
    assert first.name == second.name
    done = await person.ended(first.name)
    again = await person.order(prompt, request_id=request_id)
    assert again == done
    assert len(await generation.openai.requests(prompt)) == 1
    assert len(generation.peers.assets.of(first.name)) == 1
    with pytest.raises(Refusal) as refused:
        await person.order("another boat", request_id=request_id)
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert (await person.get(first.name)) == done


@pytest.mark.promise("8-least-priv", "2b-output-owner")
async def test_another_persons_generation_is_not_there(person: Person, other: Person) -> None:
    order = await person.order(f"a door handle {uuid4()}")
    await person.ended(order.name)
    for rpc, request in (
        ("GetGeneration", generation_pb2.GetGenerationRequest(name=order.name)),
        ("ListEgress", generation_pb2.ListEgressRequest(name=order.name)),
    ):
        with pytest.raises(Refusal) as refused:
            await other.call(rpc, request)
        assert (refused.value.status, refused.value.reason) == ("NOT_FOUND", "GENERATION_NOT_FOUND")
    with pytest.raises(Refusal) as refused:
        await other.watch(order.name)
    assert refused.value.status == "NOT_FOUND"
    theirs = await other.call("ListGenerations", generation_pb2.ListGenerationsRequest())
    assert list(theirs.generations) == []


async def test_generations_are_listed_in_pages_newest_first(person: Person, other: Person) -> None:
    made = [(await person.order(f"number {n} {uuid4()}")).name for n in range(5)]
    listed: list[str] = []
    token = ""
    while True:
        request = generation_pb2.ListGenerationsRequest(page_size=2, page_token=token)
        page = await person.call("ListGenerations", request)
        listed += [one.name for one in page.generations]
        token = page.next_page_token
        if not token:
            break
        with pytest.raises(Refusal) as refused:
            await other.call("ListGenerations", generation_pb2.ListGenerationsRequest(page_token=token))
        assert refused.value.reason == "PAGE_TOKEN_INVALID"
    assert listed == made[::-1]
    await asyncio.gather(*(person.ended(name) for name in made))


@pytest.mark.promise("5-ai-vendors", "6-vendor-list")
async def test_anybody_may_know_what_is_made_and_who_receives_input(person: Person) -> None:
    person.metadata = ()
    models = await person.call("ListModels", generation_pb2.ListModelsRequest())
    assert models.models[0].name == "models/gpt-image-2.6-flare"
    assert all(m.credits > 0 and m.vendor == "vendors/openai" for m in models.models)
    [vendor] = (await person.call("ListVendors", generation_pb2.ListVendorsRequest())).vendors
    assert vendor.name == "vendors/openai"
    assert vendor.sandbox
    assert not vendor.trains_on_input
    assert "30 days" in vendor.retention
    assert set(vendor.models) == {m.name for m in models.models}
