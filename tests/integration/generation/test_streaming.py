"""The same stream as typed messages, for gRPC-Web: what it has in common is tested in test_watching."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.generation.v1 import generation_pb2

from chassis.errors import Refusal
from chassis.rpc import refusal_from
from services.generation.handler import watching
from tests.integration.generation.test_watching import slow
from tests.integration.generation.world import Person, World

Generations = list[generation_pb2.Generation]


def stream(person: Person, name: str, after: int = 0) -> Any:
    request = generation_pb2.StreamGenerationRequest(name=name, after_seq=after)
    return person.stub.StreamGeneration(request, metadata=person.metadata, timeout=30)


async def read(person: Person, name: str, after: int = 0) -> Generations:
    """Every message until the stream ends; raises the refusal."""
    try:
        return [message async for message in stream(person, name, after)]
    except grpc.aio.AioRpcError as error:
        raise refusal_from(error) from None


async def test_every_state_is_a_message_and_the_last_one_is_the_generation(
    generation: World, person: Person
) -> None:
    name = await slow(generation, person)
    messages = await read(person, name)
    assert [message.etag for message in messages] == ['"1"', '"2"', '"3"', '"4"']
    assert [generation_pb2.State.Name(message.state) for message in messages] == [
        "QUEUED", "RUNNING", "RUNNING", "SUCCEEDED",
    ]  # fmt: skip
    assert messages[-1] == await person.get(name)
    assert [message.etag for message in await read(person, name, after=2)] == ['"3"', '"4"']
    assert await read(person, name, after=4) == messages[-1:]  # said again, so that nobody waits


async def test_a_quiet_stream_says_the_latest_state_again(
    generation: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.2)
    name = await slow(generation, person, 3.0)
    messages = await read(person, name)
    assert [message.etag for message in messages].count('"2"') >= 3
    assert len({message.SerializeToString() for message in messages if message.etag == '"2"'}) == 1


@pytest.mark.promise("3-authenticate")
async def test_a_stream_ends_with_the_token_and_says_what_to_do(generation: World, person: Person) -> None:
    name = await slow(generation, person, 7.0)
    token = generation.peers.tokens.access(person.id, person.session, lives=timedelta(seconds=4))
    person.metadata = (("authorization", f"Bearer {token}"),)
    with pytest.raises(Refusal) as refused:
        await read(person, name)
    assert (refused.value.reason, refused.value.status) == ("CREDENTIAL_ENDED", "UNAUTHENTICATED")


async def test_what_cannot_be_streamed_is_refused(person: Person, other: Person) -> None:
    order = await person.order(f"a tin drum {uuid4()}")
    for who, after, reason in ((other, 0, "GENERATION_NOT_FOUND"), (person, 99, "STATE_NUMBER_UNKNOWN")):
        with pytest.raises(Refusal) as refused:
            await read(who, order.name, after)
        assert refused.value.reason == reason
    await person.ended(order.name)
