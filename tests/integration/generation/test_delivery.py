"""An answer that is partly what was ordered: only that part is stored and charged."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from crafiq.generation.v1 import events_pb2, generation_pb2

from services.generation.domain import Delivered, Rules
from services.generation.jobs import Delivery
from services.generation.repository import Changes, Jobs
from tests.integration.generation.test_forgetting import gone, own
from tests.integration.generation.test_openai import answering
from tests.integration.generation.world import World
from tests.unit.generation.test_pictures import picture

GOOD, CUT, OTHER = picture(size=(256, 256)), picture(size=(256, 256))[:-400], picture("JPEG", (256, 256))


def answer(*media: bytes) -> bytes:
    body = json.dumps({"data": [{"b64_json": base64.b64encode(content).decode()} for content in media]})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.promise("3-transactions", "3-generate")
@pytest.mark.parametrize(
    ("media", "delivered"),
    [((CUT, GOOD, OTHER), 1), ((GOOD, GOOD, GOOD, GOOD), 3), ((GOOD, GOOD), 2), ((CUT, OTHER), 0)],
    ids=["one of three is whole", "more than was ordered", "fewer than were ordered", "nothing is whole"],
)
async def test_only_what_was_ordered_and_is_whole_is_delivered_and_charged(
    generation: World, media: tuple[bytes, ...], delivered: int
) -> None:
    async with (
        answering(answer(*media)) as (url, asked),
        generation.serving(openai_url=url),
        generation.person() as person,
    ):
        order = await person.order(f"a brass key {uuid4()}", count=3)
        done = await person.ended(order.name)
        assert len(asked) == 1
        stored = generation.peers.assets.of(order.name)
        assert [each.content for each in stored] == [GOOD] * delivered
        assert list(done.output_assets) == [each.name for each in stored]
        assert (done.quoted_credits, done.charged_credits) == (12, 4 * delivered)
        if delivered:
            assert done.state == generation_pb2.SUCCEEDED
            [_, (_, body)] = await generation.heard(person, "GenerationCreated", "GenerationSucceeded")
            assert events_pb2.GenerationSucceeded.FromString(body).credits == 4 * delivered
        else:
            assert done.failure_reason == "OUTPUT_INVALID"
            await generation.heard(person, "GenerationCreated", "GenerationFailed")


async def test_storage_that_stays_away_ends_the_job_and_nothing_is_charged(generation: World) -> None:
    assets = generation.peers.assets
    async with (
        answering(answer(GOOD)) as (url, asked),
        generation.serving(openai_url=url, storing=2.0),
        generation.person() as person,
    ):
        assets.down["StoreOutput"] = 1000
        order = await person.order(f"a brass key {uuid4()}")
        done = await person.ended(order.name)
        assert assets.down["StoreOutput"] < 999
        assets.down["StoreOutput"] = 0
        assert (done.failure_reason, done.charged_credits, len(asked)) == ("STORAGE_UNAVAILABLE", 0, 1)
        await generation.heard(person, "GenerationCreated", "GenerationFailed")


@pytest.mark.promise("3-transactions", "9-delete-item")
async def test_an_output_whose_commit_is_repeated_after_its_deletion_counts_once(generation: World) -> None:
    async with generation.serving(slots=0) as service, generation.person() as person:
        order = await person.order(f"a brass bell {uuid4()}", count=2)
        jobs, rules = Jobs(service.db, Changes()), Rules()
        claim = await jobs.claim(rules.share, rules.lease)
        assert claim is not None
        async with jobs.held(person.id, own(order.name), claim.attempt) as held:
            answered = (await held.tried()).conclude(Delivered((b"", b"")), rules, jobs.now())
            await held.record(answered)
        delivery: Any = Delivery(jobs, None, None, rules)  # type: ignore[arg-type]  # stored already
        first, second = (f"assets/{uuid4()}" for _ in range(2))
        assert not await delivery._keep(claim, 0, first, 2)
        await gone(person, first, order.name)
        assert not await delivery._keep(claim, 0, first, 2)
        assert await delivery._keep(claim, 1, second, 2)
        done = await person.ended(order.name)
        assert (list(done.output_assets), done.outputs_deleted, done.charged_credits) == ([second], 1, 8)
