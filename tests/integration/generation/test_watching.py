"""Streams: every state in order, resumable, alive, bounded, and over when the credential is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from statistics import median
from time import monotonic
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.identity.v1.events_pb2 import AccountDeleted

from chassis.errors import Refusal, ResourceExhausted
from chassis.service import Service
from services.generation.handler import watching
from tests.integration.generation.world import Person, World, parse
from tests.support import eventually


async def slow(generation: World, person: Person, seconds: float = 0.8) -> str:
    """A generation whose vendor takes its time."""
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({"kind": "delay", "seconds": seconds, "match": prompt})
    return (await person.order(prompt)).name


async def test_every_state_is_seen_in_order_and_the_stream_ends_with_the_job(
    generation: World, person: Person
) -> None:
    name = await slow(generation, person)
    events = await person.watch(name)
    assert [(e.id, e.event, e.data["state"]) for e in events] == [
        (1, "state", "QUEUED"),
        (2, "state", "RUNNING"),
        (3, "state", "RUNNING"),
        (4, "state", "SUCCEEDED"),
    ]
    assert events[0].data["name"] == name
    assert events[0].data["outputAssets"] == []
    assert len(events[-1].data["outputAssets"]) == 1
    assert events[-1].data["etag"] == '"4"'


async def test_who_comes_late_sees_all_of_it_too(person: Person) -> None:
    order = await person.order(f"a tin drum {uuid4()}", count=2)
    await person.ended(order.name)
    states = [(e.id, e.data["state"], len(e.data["outputAssets"])) for e in await person.watch(order.name)]
    assert states == [
        (1, "QUEUED", 0), (2, "RUNNING", 0), (3, "RUNNING", 0), (4, "RUNNING", 1), (5, "SUCCEEDED", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["header", "field"])
async def test_a_stream_resumes_after_the_last_event_that_arrived(person: Person, way: str) -> None:
    order = await person.order(f"a tin drum {uuid4()}")
    await person.ended(order.name)
    last = {"last": "2"} if way == "header" else {"field": "2"}
    assert [e.id for e in await person.watch(order.name, **last)] == [3, 4]
    ended = {"last": "4"} if way == "header" else {"field": "4"}
    assert await person.watch(order.name, **ended) == []


@pytest.mark.parametrize("last", ["99", "-1", "1.5", "x", "1 OR 1", "9999999999"])
async def test_a_last_event_id_that_is_none_is_refused(person: Person, last: str) -> None:
    order = await person.order(f"a tin drum {uuid4()}")
    with pytest.raises(Refusal) as refused:
        await person.watch(order.name, last=last)
    assert refused.value.reason == "LAST_EVENT_ID_UNREADABLE"
    await person.ended(order.name)


async def test_a_state_arrives_at_once_and_not_with_the_next_poll(generation: World, person: Person) -> None:
    late = [await _lag(generation, person) for _ in range(5)]
    # The poll for other processes is 0.25 s; in this process a commit wakes the stream. That most come sooner
    # than half of a poll is no luck, and one may meet a machine that stands still.
    assert median(late) < 0.12, late


async def _lag(generation: World, person: Person) -> float:
    """Seconds from the commit of a generation's end to its arrival."""
    name = await slow(generation, person, 0.3)
    began = monotonic()
    arrived = [monotonic() - began async for _ in person.watching(name)]
    rows = await generation.sql(
        "SELECT create_time FROM transitions WHERE generation = $1 ORDER BY seq", _id(name)
    )
    committed = [(row["create_time"] - rows[0]["create_time"]).total_seconds() for row in rows]
    return arrived[-1] - committed[-1]


def _id(name: str) -> str:
    return name.removeprefix("generations/")


async def test_what_another_process_commits_is_seen_as_well(generation: World, person: Person) -> None:
    name = await slow(generation, person, 3.0)
    stream = aiter(person.watching(name))
    assert b"QUEUED" in (await anext(stream)).data
    await eventually(lambda: _state(generation, name, "SUBMITTING"))
    # Not through this process: nobody rings.
    await generation.sql(
        "INSERT INTO transitions (generation, seq, account, state, note, outputs, create_time)"
        " SELECT id, 9, account, 'RUNNING', 'from elsewhere', 0, now() FROM jobs WHERE id = $1",
        _id(name),
    )
    await generation.sql("UPDATE jobs SET seq = 9 WHERE id = $1", _id(name))
    rest = b"".join([body.data async for body in stream])
    assert "from elsewhere" in rest.decode()


async def _state(generation: World, name: str, state: str) -> bool:
    [row] = await generation.sql("SELECT state FROM jobs WHERE id = $1", _id(name))
    return bool(row["state"] == state)


async def test_a_quiet_stream_has_a_heartbeat(
    generation: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.2)
    name = await slow(generation, person, 3.0)
    parts = [body.data async for body in person.watching(name)]
    assert parts.count(b": hb\n\n") >= 2
    assert {body for body in parts if body.startswith(b":")} == {b": hb\n\n"}
    assert [e.id for e in parse(b"".join(parts).decode())] == [1, 2, 3, 4]


async def test_the_content_type_is_that_of_server_sent_events(person: Person) -> None:
    order = await person.order(f"a tin drum {uuid4()}")
    types = {body.content_type async for body in person.watching(order.name)}
    assert types == {"text/event-stream"}


@pytest.mark.promise("3-authenticate")
async def test_a_stream_ends_when_the_token_does(generation: World, person: Person) -> None:
    name = await slow(generation, person, 7.0)
    token = generation.peers.tokens.access(person.id, person.session, lives=timedelta(seconds=4))
    person.metadata = (("authorization", f"Bearer {token}"),)
    events = await person.watch(name)
    assert events[-1].event == "reauth"
    assert events[-1].data == {"message": "Refresh the session and resume with Last-Event-ID."}
    fresh = generation.peers.tokens.access(person.id, person.session)
    person.metadata = (("authorization", f"Bearer {fresh}"),)
    rest = await person.watch(name, last=str(events[-2].id))
    assert [e.id for e in events[:-1] + rest] == [1, 2, 3, 4]


@pytest.mark.promise("3-authenticate", "9-delete-now")
@pytest.mark.parametrize("ended", ["session", "account"])
async def test_a_stream_ends_within_seconds_of_a_revocation(
    generation: World, service: Service, person: Person, ended: str
) -> None:
    name = await slow(generation, person, 12.0)
    stream = aiter(person.watching(name))
    await anext(stream)
    began = monotonic()
    if ended == "session":
        service.revocations.add(person.session, service.clock.now() + timedelta(minutes=5))
    else:
        deleted = AccountDeleted(account=person.account, erasure=f"erasures/{uuid4()}")
        await generation.publish("identity", deleted)
    rest = parse(b"".join([body.data async for body in stream]).decode())
    assert rest[-1].event == "reauth"
    assert monotonic() - began < 5


async def test_one_person_may_watch_eight_at_a_time(generation: World, person: Person) -> None:
    name = await slow(generation, person, 4.0)
    streams = [person.watching(name) for _ in range(8)]
    for stream in streams:
        await stream.read()
    with pytest.raises(Refusal) as refused:
        await person.watch(name)
    assert refused.value.reason == "STREAMS_TOO_MANY"
    assert refused.value.status == "RESOURCE_EXHAUSTED"
    streams[0].cancel()
    await eventually(lambda: _may_watch(person, name))
    for stream in streams:
        stream.cancel()
    await person.ended(name)


async def _may_watch(person: Person, name: str) -> bool:
    try:
        return bool(await person.watch(name))
    except ResourceExhausted:  # that a stream was closed is noticed a moment later
        return False


async def test_a_stream_of_a_generation_that_goes_away_ends(generation: World, person: Person) -> None:
    name = await slow(generation, person, 3.0)
    stream = aiter(person.watching(name))
    await anext(stream)
    await generation.sql("DELETE FROM subjects WHERE account = $1", person.id)
    async with asyncio.timeout(20):
        rest = b"".join([body.data async for body in stream])
    assert b"SUCCEEDED" not in rest


async def test_a_stream_that_breaks_says_so_in_it(
    generation: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await slow(generation, person, 2.0)
    stream = aiter(person.watching(name))
    await anext(stream)

    def broken(*_: object) -> bytes:
        raise ValueError("somebody's words")

    monkeypatch.setattr(watching.rendering, "state_event", broken)
    rest: list[str] = []
    with pytest.raises(grpc.aio.AioRpcError, match="Something went wrong"):
        await _read(stream, rest)
    assert parse("".join(rest))[-1].event == "error"
    assert "somebody" not in "".join(rest)
    monkeypatch.undo()
    await person.ended(name)


async def _read(stream: Any, into: list[str]) -> None:
    async for body in stream:
        into.append(body.data.decode())  # noqa: PERF401 - what came before the error is wanted
