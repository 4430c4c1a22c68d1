"""Orders that nobody should place, and orders placed twice."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from cli.api import ApiRefused, Json
from tests.e2e.conftest import Join
from tests.personal import used

BAD = {
    "no words": {"prompt": ""},
    "too many words": {"prompt": "x" * 8001},
    "a null character": {"prompt": "a null \0 character"},
    "an escape": {"prompt": "an escape \x1b[2J here"},
    "no task": {"task": "TASK_UNSPECIFIED"},
    "a task that nobody knows": {"task": "TEXT_TO_SMELL"},
    "a task that nobody does": {"task": "TEXT_TO_VIDEO"},
    "a model that there is not": {"model": "models/../../etc/passwd"},
    "none of it": {"count": 0},
    "too much of it": {"count": 11},
    "a parameter that there is not": {"parameters": {"webhook": "http://169.254.169.254/"}},
    "a parameter with an abyss in it": {"parameters": {"size": [[[[[[[[[[1]]]]]]]]]]}},
    "an input that is none": {"task": "IMAGE_TO_IMAGE", "inputAssets": ["assets/../generations"]},
    "an input of nobody's": {"task": "IMAGE_TO_IMAGE", "inputAssets": [f"assets/{uuid.uuid4()}"]},
    "an input twice": {"task": "IMAGE_TO_IMAGE", "inputAssets": ["assets/a", "assets/a"]},
    "no request id": {"requestId": ""},
}  # fmt: skip


@pytest.mark.promise("3-transactions")
async def test_orders_that_can_not_be_filled_cost_nothing(join: Join) -> None:
    person = await join()
    before = await person.balance()
    for what, wrong in BAD.items():
        order: Json = {"task": "TEXT_TO_IMAGE", "prompt": used("a wooden spoon"), **wrong}
        with pytest.raises(ApiRefused) as refused:
            await person.api.post("/v1/generations", **{"requestId": str(uuid.uuid4()), **order})
        assert refused.value.status in {400, 404}, what
        assert refused.value.reason, what
    assert await person.balance() == before
    assert (await person.api.get("/v1/generations"))["generations"] == []


@pytest.mark.promise("3-transactions", "3-generate")
async def test_one_order_however_often_it_arrives_at_once(join: Join) -> None:
    person = await join()
    request = str(uuid.uuid4())
    orders = await asyncio.gather(*(person.order("a clay whistle", requestId=request) for _ in range(8)))
    assert len({order["name"] for order in orders}) == 1
    await person.finished(orders[0]["name"])
    for other in ({"prompt": "a clay pot instead"}, {"count": 2}, {"parameters": {"quality": "low"}}):
        with pytest.raises(ApiRefused) as refused:
            await person.order(**{"prompt": "a clay whistle", "requestId": request, **other})
        assert (refused.value.status, refused.value.reason) == (409, "REQUEST_ID_REUSED")
    again = await person.order("a clay whistle", requestId=request)
    assert (again["name"], again["state"]) == (orders[0]["name"], "SUCCEEDED")
    assert len((await person.api.get("/v1/generations"))["generations"]) == 1


@pytest.mark.promise("2b-output-owner")
async def test_a_request_id_of_somebody_else_is_free_for_me(join: Join) -> None:
    one, other = await asyncio.gather(join(), join())
    request = str(uuid.uuid4())
    first, second = [await person.order("a tin whistle", requestId=request) for person in (one, other)]
    assert first["name"] != second["name"]
    with pytest.raises(ApiRefused) as refused:
        await other.api.get(f"/v1/{first['name']}")
    assert refused.value.status == 404


@pytest.mark.promise("3-transactions")
async def test_many_orders_at_once_never_cost_more_than_there_is(join: Join) -> None:
    person = await join()
    before = await person.balance()
    model = (await person.api.get("/v1/models"))["models"][0]

    async def order() -> str:
        try:
            return str((await person.order("a heap of bells", count=model["maxCount"]))["name"])
        except ApiRefused as refused:
            assert refused.status in {400, 429}  # noqa: PT017 - some are let in
            return ""

    placed = [name for name in await asyncio.gather(*(order() for _ in range(12))) if name]
    balance = await person.balance()
    assert balance["available"] >= 0
    assert sum(balance.values()) == before["available"]
    assert 0 < len(placed) < 12
    await asyncio.gather(*(person.finished(name) for name in placed))
