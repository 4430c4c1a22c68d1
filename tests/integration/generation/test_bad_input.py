"""Requests that no client of ours sends: refused with a reason, and never with a stack trace."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.generation.v1 import generation_pb2, generation_pb2_grpc
from google.protobuf import struct_pb2

from chassis.errors import Refusal
from chassis.rpc.client import PeerChannel, open_channel
from tests.integration.generation.world import Person, World


def order(**changes: Any) -> generation_pb2.CreateGenerationRequest:
    good = {"task": generation_pb2.TEXT_TO_IMAGE, "prompt": "a brass key", "request_id": str(uuid4())}
    return generation_pb2.CreateGenerationRequest(**{**good, **changes})


def values(**fields: struct_pb2.Value) -> struct_pb2.Struct:
    return struct_pb2.Struct(fields=fields)


def nested(depth: int) -> struct_pb2.Value:
    inner = struct_pb2.Value(string_value="deep")
    for _ in range(depth):
        inner = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[inner]))
    return inner


MANY = struct_pb2.Struct(fields={f"parameter_{n}": struct_pb2.Value(null_value=0) for n in range(2000)})
ORDERS = {
    "no request id": order(request_id=""),
    "a request id that is none": order(request_id="../../etc"),
    "no task": order(task=0),
    "a task that nobody knows": order(task=99),
    "no words": order(prompt=""),
    "too many words": order(prompt="x" * 8001),
    "a null character": order(prompt="a\x00b"),
    "a count of nothing": order(count=0),
    "a negative count": order(count=-1),
    "too many at once": order(count=11),
    "a model with a path": order(model="../../etc/passwd"),
    "a model's name without end": order(model="m" * 101),
    "an input that is no asset": order(task=generation_pb2.IMAGE_TO_IMAGE, input_assets=["generations/1"]),
    "the same input twice": order(task=generation_pb2.IMAGE_TO_IMAGE, input_assets=["assets/1"] * 2),
    "more inputs than anybody reads": order(
        task=generation_pb2.IMAGE_TO_IMAGE, input_assets=[f"assets/{n}" for n in range(17)]
    ),
    "a parameter that is no number": order(parameters=values(size=struct_pb2.Value(number_value=math.nan))),
    "a parameter without end": order(parameters=values(size=struct_pb2.Value(number_value=math.inf))),
    "a parameter that is nothing": order(parameters=values(size=struct_pb2.Value())),
    "a parameter with an abyss in it": order(parameters=values(size=nested(40))),
    "two thousand parameters": order(parameters=MANY),
}


@pytest.mark.parametrize("what", ORDERS)
async def test_a_bad_order_is_refused_before_anybody_is_asked(
    generation: World, person: Person, what: str
) -> None:
    before = dict(generation.peers.billing.calls)
    with pytest.raises(Refusal) as refused:
        await person.call("CreateGeneration", ORDERS[what])
    assert refused.value.status in {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}
    assert refused.value.reason
    assert generation.peers.billing.calls == before
    rows = await generation.sql("SELECT 1 FROM jobs WHERE account = $1", person.id)
    assert rows == []


@pytest.mark.parametrize("name", ["", "generations/", "generations/1", f"generations/{'0' * 36}", "models/x"])
@pytest.mark.parametrize("rpc", ["GetGeneration", "ListEgress"])
async def test_a_name_that_is_none_names_nothing(person: Person, rpc: str, name: str) -> None:
    request = getattr(generation_pb2, f"{rpc}Request")(name=name)
    with pytest.raises(Refusal) as refused:
        await person.call(rpc, request)
    assert refused.value.status in {"INVALID_ARGUMENT", "NOT_FOUND"}


@pytest.mark.parametrize("token", ["x", "0" * 400, "eyJhIjoxfQ"])
async def test_a_page_token_that_was_not_given_out_is_refused(person: Person, token: str) -> None:
    with pytest.raises(Refusal) as refused:
        await person.call("ListGenerations", generation_pb2.ListGenerationsRequest(page_token=token))
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


async def test_a_token_of_one_list_opens_no_other(person: Person) -> None:
    names = [(await person.order(f"number {n} {uuid4()}")).name for n in range(2)]
    page = await person.call("ListGenerations", generation_pb2.ListGenerationsRequest(page_size=1))
    request = generation_pb2.ListEgressRequest(name=names[0], page_token=page.next_page_token)
    with pytest.raises(Refusal) as refused:
        await person.call("ListEgress", request)
    assert refused.value.reason == "PAGE_TOKEN_INVALID"
    for name in names:
        await person.ended(name)


async def test_nobody_signed_in_has_no_generations(person: Person) -> None:
    person.metadata = ()
    for rpc, request in (
        ("ListGenerations", generation_pb2.ListGenerationsRequest()),
        ("CreateGeneration", order()),
        ("GetGeneration", generation_pb2.GetGenerationRequest(name=f"generations/{uuid4()}")),
    ):
        with pytest.raises(Refusal) as refused:
            await person.call(rpc, request)
        assert refused.value.status == "UNAUTHENTICATED"


@pytest.mark.promise("8-least-priv")
async def test_another_service_may_not_read_what_is_a_persons(generation: World, person: Person) -> None:
    channel: Any = PeerChannel(
        open_channel(generation.address, generation.infra.tls_dir("billing"), "generation")
    )
    stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListGenerations(generation_pb2.ListGenerationsRequest(), metadata=person.metadata)
    assert refused.value.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
    await channel.close()
