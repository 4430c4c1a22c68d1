"""An asset is deleted: jobs name it no more whatever is under way, and vendors are to have no copy of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1.events_pb2 import AssetDeleted
from crafiq.generation.v1 import events_pb2, generation_pb2

from chassis.errors import Unavailable
from chassis.service import Service
from services.generation.consumers import Consumers
from services.generation.domain import Job, Route, VendorCard
from services.generation.jobs import VendorCopies
from services.generation.repository import Changes, Copies, Jobs
from tests.integration.generation.test_ending import delete, wait_in_line
from tests.integration.generation.world import Person, World
from tests.support import eventually
from tests.unit.generation.test_pictures import picture

promise = pytest.mark.promise("9-delete-item")


async def gone(person: Person, asset: str, generation: str = "", *, account: str = "") -> None:
    """Assets says that it is deleted, and that has been heard."""
    event = AssetDeleted(account=account or person.account, asset=asset, generation=generation)
    await person.world.publish("assets", event)
    key = f"deleted:{asset}"
    await eventually(lambda: person.world.sql("SELECT FROM inbox WHERE key = $1", key))


def a_photo(person: Person) -> str:
    return person.world.peers.assets.add(person.account, picture("JPEG", (256, 256)), "image/jpeg")


@asynccontextmanager
async def closed_gate(world: World, name: str) -> AsyncIterator[None]:
    """Until the block ends assets says nothing about it."""
    gate = world.peers.assets.gates[name] = asyncio.Event()
    try:
        yield
    finally:
        gate.set()
        del world.peers.assets.gates[name]


class Forgiving:
    """A vendor that removes copies when it is asked; `away`: it can't be asked for these."""

    def __init__(self) -> None:
        self.purged: list[str] = []
        self.away: set[str] = set()

    async def purge(self, reference: str) -> bool:
        if reference in self.away:
            raise Unavailable
        self.purged.append(reference)
        return True

    def of(self, references: list[str]) -> list[str]:
        """Those of them that it has removed, in order."""
        return [each for each in self.purged if each in references]


def copies(service: Service, vendor: Any, card: VendorCard) -> VendorCopies:
    return VendorCopies(Copies(service.db), {"openai": Route("openai", vendor, card, sandbox=True)})


@pytest.fixture
def card() -> VendorCard:
    return VendorCard(
        title="OpenAI", retention="", retention_days=30, trains_on_input=False, region="US", terms_uri=""
    )


async def unwanted(person: Person, generation: str) -> list[bool]:
    rows = await person.world.sql(
        "SELECT unwanted FROM vendor_copies JOIN egress USING (id) WHERE generation = $1", own(generation)
    )
    return [row["unwanted"] for row in rows]


def own(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])


@promise
@pytest.mark.promise("5-egress-log", "6-responsibility")
async def test_a_deleted_input_is_named_by_no_job_and_the_vendors_copy_of_it_goes(
    person: Person, service: Service, card: VendorCard
) -> None:
    photo, other = a_photo(person), a_photo(person)
    order = await person.order(f"in copper {uuid4()}", input_assets=[photo, other])
    apart = await person.order(f"in silver {uuid4()}", input_assets=[other])
    done = await person.ended(order.name)
    await person.ended(apart.name)
    await gone(person, photo)
    found = await person.get(order.name)
    assert (list(found.input_assets), found.inputs_deleted) == ([other], 1)
    assert (found.state, found.charged_credits, found.prompt) == (
        done.state,
        done.charged_credits,
        done.prompt,
    )
    assert list(found.output_assets) == list(done.output_assets)
    assert list((await person.get(apart.name)).input_assets) == [other]
    assert (await unwanted(person, order.name), await unwanted(person, apart.name)) == ([True], [False])
    # What was sent stays on record, and until when the vendor has it.
    [sent] = await person.egress(order.name)
    assert (list(sent.assets), sent.HasField("expire_time"), sent.HasField("purge_time")) == (
        [photo, other], True, False,
    )  # fmt: skip
    await copies(service, vendor := Forgiving(), card).sweep()
    [sent] = await person.egress(order.name)
    assert sent.HasField("purge_time")
    [apart_sent] = await person.egress(apart.name)
    assert not apart_sent.HasField("purge_time")
    assert vendor.purged


@promise
@pytest.mark.promise("5-egress-log")
async def test_a_deleted_output_is_named_by_no_job_and_its_price_stands(person: Person) -> None:
    order = await person.order(f"a brass bell {uuid4()}", count=2)
    done = await person.ended(order.name)
    first, second = done.output_assets
    await gone(person, first, order.name)
    found = await person.get(order.name)
    assert (list(found.output_assets), found.outputs_deleted) == ([second], 1)
    assert (found.charged_credits, found.state) == (done.charged_credits, generation_pb2.SUCCEEDED)
    assert await unwanted(person, order.name) == [True]
    last = (await person.watch(order.name))[-1].data
    assert (last["outputAssets"], last["outputsDeleted"]) == ([second], 1)
    again = await person.ended((await person.order(f"a brass bell {uuid4()}", count=2)).name)
    await gone(person, again.output_assets[0], again.name)
    receipt = await delete(person, again.name)
    assert (receipt.outputs_made, list(receipt.outputs_kept)) == (2, [again.output_assets[1]])
    await gone(person, second, order.name)
    receipt = await delete(person, order.name)
    assert (receipt.outputs_made, list(receipt.outputs_kept)) == (2, [])


@promise
async def test_an_output_that_is_input_again_is_forgotten_on_both_sides(person: Person) -> None:
    first = await person.ended((await person.order(f"a brass bell {uuid4()}")).name)
    [made] = first.output_assets
    [stored] = person.world.peers.assets.of(first.name)
    person.world.peers.assets.inputs[person.account, made] = stored.content
    person.world.peers.assets.types[made] = "image/png"
    second = await person.ended((await person.order(f"in tin {uuid4()}", input_assets=[made])).name)
    await gone(person, made, first.name)
    one, two = await person.get(first.name), await person.get(second.name)
    assert (list(one.output_assets), list(two.input_assets)) == ([], [])
    assert (one.outputs_deleted, two.inputs_deleted) == (1, 1)
    assert (await unwanted(person, first.name), await unwanted(person, second.name)) == ([True], [True])


@promise
async def test_a_deletion_heard_twice_is_one_and_of_another_account_none(
    person: Person, other: Person, service: Service
) -> None:
    photo, prompt = a_photo(person), f"in copper {uuid4()}"
    order = await person.order(prompt, input_assets=[photo])
    done = await person.ended(order.name)
    event = AssetDeleted(account=other.account, asset=photo, generation=order.name)
    theirs = AssetDeleted(account=f"accounts/{uuid4()}", asset=f"assets/{uuid4()}")
    for each in (event, theirs):
        async with service.db.transaction() as tx:
            await Consumers().on_asset_deleted(tx, each)
    assert await person.get(order.name) == done
    await person.world.sql("DELETE FROM inbox WHERE key = $1", f"deleted:{photo}")
    event.account, event.generation = person.account, ""
    for _ in range(2):
        async with service.db.transaction() as tx:
            await Consumers().on_asset_deleted(tx, event)
        assert (await person.get(order.name)).inputs_deleted == 1


@promise
@pytest.mark.promise("5-ai-min-input")
async def test_a_job_that_waits_ends_when_its_input_is_deleted_and_nothing_leaves(
    generation: World, person: Person
) -> None:
    await wait_in_line(person, 0)
    photo = a_photo(person)
    order = await person.order(prompt := f"in copper {uuid4()}", input_assets=[photo])
    await gone(person, photo)
    done = await person.ended(order.name)
    assert (done.failure_reason, done.inputs_deleted, done.charged_credits) == ("INPUT_UNAVAILABLE", 1, 0)
    assert await person.egress(order.name) == []
    assert await generation.openai.requests(prompt) == []


@promise
@pytest.mark.promise("5-ai-min-input")
async def test_an_input_that_is_deleted_while_a_worker_has_it_in_hand_does_not_leave(
    generation: World, person: Person
) -> None:
    photo, assets = a_photo(person), generation.peers.assets
    async with closed_gate(generation, f"open {photo}"):
        opened = assets.calls["OpenInput"]
        order = await person.order(prompt := f"in copper {uuid4()}", input_assets=[photo])
        await eventually(lambda: assets.calls["OpenInput"] > opened)
        await gone(person, photo)
        assert (await person.get(order.name)).state == generation_pb2.RUNNING
    done = await person.ended(order.name)
    assert (done.failure_reason, done.inputs_deleted) == ("INPUT_UNAVAILABLE", 1)
    assert await person.egress(order.name) == []
    assert await generation.openai.requests(prompt) == []


@promise
async def test_an_input_that_is_deleted_while_it_is_ordered_with_is_not_named(
    generation: World, person: Person
) -> None:
    photo = a_photo(person)
    async with closed_gate(generation, photo):
        checked = generation.peers.assets.calls["CheckInputs"]
        ordering = asyncio.create_task(person.order(f"in copper {uuid4()}", input_assets=[photo]))
        await eventually(lambda: generation.peers.assets.calls["CheckInputs"] > checked)
        await gone(person, photo)
    order = await ordering
    assert (list(order.input_assets), order.inputs_deleted) == ([], 1)
    assert (await person.ended(order.name)).failure_reason == "INPUT_UNAVAILABLE"
    await generation.heard(person, "GenerationCreated", "GenerationFailed")


@promise
async def test_an_output_that_is_deleted_before_its_job_names_it_is_delivered_and_not_named(
    generation: World, person: Person
) -> None:
    async with closed_gate(generation, person.account):
        order = await person.order(f"a brass bell {uuid4()}", count=2)
        [first] = await eventually(lambda: generation.peers.assets.of(order.name), timeout=20)
        await gone(person, first.name, order.name)
    done = await person.ended(order.name)
    _, second = generation.peers.assets.of(order.name)
    assert (list(done.output_assets), done.outputs_deleted) == ([second.name], 1)
    assert (done.state, done.charged_credits) == (generation_pb2.SUCCEEDED, 8)
    assert await unwanted(person, order.name) == [True]


@promise
async def test_who_hears_of_a_deletion_waits_for_who_orders_with_it_at_that_moment(
    generation: World, person: Person, service: Service
) -> None:
    photo = a_photo(person)
    template = await person.ended((await person.order(f"in copper {uuid4()}", input_assets=[photo])).name)
    [job] = await generation.sql("SELECT * FROM jobs WHERE id = $1", own(template.name))
    new = Job(**{**job, "id": uuid4(), "inputs": [photo], "outputs": [], "parameters": {}})
    jobs = Jobs(service.db, Changes())
    step = new.recall(jobs.now())
    assert step is not None
    async with service.db.transaction() as tx:
        await tx.replay(person.id, uuid4(), generation_pb2.CreateGenerationRequest(), result="x")
        await jobs.add(tx, new, step)
        event = AssetDeleted(account=person.account, asset=photo)
        await generation.publish("assets", event)
        waiting = (
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        await eventually(lambda: generation.sql(waiting))
    await eventually(lambda: forgotten(person, f"generations/{new.id}"))


async def forgotten(person: Person, generation: str) -> bool:
    return (await person.get(generation)).inputs_deleted == 1


@promise
async def test_a_deleted_generation_is_told_to_who_names_it(generation: World, person: Person) -> None:
    order = await person.order(f"a drum {uuid4()}")
    await person.ended(order.name)
    await delete(person, order.name)
    [*_, (name, body)] = await generation.heard(
        person, "GenerationCreated", "GenerationSucceeded", "GenerationDeleted"
    )
    assert name == "GenerationDeleted"
    assert events_pb2.GenerationDeleted.FromString(body) == events_pb2.GenerationDeleted(
        account=person.account, generation=order.name
    )
    assert await unwanted(person, order.name) == [True]


@promise
@pytest.mark.promise("6-responsibility")
async def test_copies_that_cannot_be_purged_do_not_stand_in_the_way_of_those_that_can(
    generation: World, person: Person, service: Service, card: VendorCard
) -> None:
    await generation.sql("UPDATE vendor_copies SET unwanted = FALSE")
    await generation.sql(
        "INSERT INTO vendor_copies (id, vendor, reference, heard, expire_time, unwanted)"
        " SELECT gen_random_uuid(), CASE WHEN n <= 200 THEN 'nobody' ELSE 'openai' END, 'r' || n, TRUE,"
        " now() + interval '1 day', TRUE FROM generate_series(1, 250) AS n"
    )
    vendor = Forgiving()
    vendor.away = {"r201", "r250"}
    sweeping = copies(service, vendor, card)
    with pytest.raises(Unavailable):
        await sweeping.sweep()
    assert sorted(vendor.purged) == sorted(f"r{n}" for n in range(202, 250))
    vendor.away.clear()
    await sweeping.sweep()
    assert {"r201", "r250"} <= {*vendor.purged}
    assert len(vendor.purged) == 50
    await generation.sql("DELETE FROM vendor_copies WHERE vendor = 'nobody'")
