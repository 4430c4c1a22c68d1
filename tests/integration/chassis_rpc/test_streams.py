"""Streams: both ways, their ends, and the end of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import grpc.aio
import pytest
from crafiq.assets.v1 import assets_pb2 as a
from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from crafiq.generation.v1 import generation_pb2 as g
from crafiq.generation.v1.generation_pb2_grpc import GenerationServiceStub
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.errors import FailedPrecondition
from chassis.rpc import Call, refusal_from
from chassis.rpc.server import RpcServer

from .conftest import ANN, Served, serving, status_of

WATCH = g.WatchGenerationRequest(name=f"generations/{UUID(int=3)}")


class StreamBroken(FailedPrecondition):
    sentence = "The generation was deleted."


async def test_a_stream_gives_its_messages_after_its_headers(served: Served) -> None:
    async def watch(call: Call) -> AsyncIterator[HttpBody]:
        call.set_header("cache-control", "no-store")
        yield HttpBody(data=b"one")
        yield HttpBody(data=b"two")

    served.generation.watch = watch
    async with served.channel() as channel:
        stream = GenerationServiceStub(channel).WatchGeneration(WATCH, metadata=served.tokens.metadata(ANN))
        assert ("cache-control", "no-store") in tuple(await stream.initial_metadata())
        assert [body.data async for body in stream] == [b"one", b"two"]


async def test_a_refusal_ends_a_stream_that_has_begun(served: Served) -> None:
    async def watch(call: Call) -> AsyncIterator[HttpBody]:
        yield HttpBody(data=b"one")
        raise StreamBroken

    served.generation.watch = watch
    async with served.channel() as channel:
        stream = GenerationServiceStub(channel).WatchGeneration(WATCH, metadata=served.tokens.metadata(ANN))
        assert (await stream.read()).data == b"one"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    assert refusal_from(caught.value).reason == "STREAM_BROKEN"


async def test_a_stream_needs_a_person_too(served: Served) -> None:
    async with served.channel() as channel:
        stream = GenerationServiceStub(channel).WatchGeneration(WATCH)
        assert await status_of(stream.read()) == grpc.StatusCode.UNAUTHENTICATED


async def test_a_client_that_goes_away_ends_the_handler_at_once(served: Served) -> None:
    ended = asyncio.Event()

    async def watch(call: Call) -> AsyncIterator[HttpBody]:
        try:
            yield HttpBody(data=b"one")
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.generation.watch = watch
    async with served.channel() as channel:
        stream = GenerationServiceStub(channel).WatchGeneration(WATCH, metadata=served.tokens.metadata(ANN))
        await stream.read()
        stream.cancel()
        await asyncio.wait_for(ended.wait(), 20)


async def test_each_part_of_an_incoming_stream_is_checked(served: Served) -> None:
    async def parts() -> AsyncIterator[a.StoreOutputRequest]:
        yield a.StoreOutputRequest(chunk=b"x")
        yield a.StoreOutputRequest(chunk=b"x" * 262_145)

    async with served.channel("generation") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AssetsServiceStub(channel).StoreOutput(parts())
    assert refusal_from(caught.value).violations[0][0] == "chunk"


async def test_a_drain_finishes_what_is_in_hand_and_takes_nothing_new(served: Served) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        begun.set()
        await finish.wait()
        return a.Asset(name="finished")

    served.assets.get = get
    async with serving(served.certificates) as drained, drained.channel() as channel:
        drained.assets.get = get
        call = asyncio.create_task(drained.get())
        await begun.wait()
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.create_task(drained.server.drain(grace=5))
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await status_of(drained.get()) == grpc.StatusCode.UNAVAILABLE
        health.cancel()
        finish.set()
        assert (await call).name == "finished"
        await draining


async def test_a_drain_ends_what_does_not_finish(served: Served) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        cancelled.set()
        return a.Asset()

    async with serving(served.certificates) as drained:
        drained.assets.get = get
        call = asyncio.create_task(status_of(drained.get()))
        await begun.wait()
        await drained.server.drain(grace=0.1)
        assert await call in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        await asyncio.wait_for(cancelled.wait(), 20)


async def test_a_port_that_is_taken_is_said(served: Served) -> None:
    second = RpcServer(served.certificates.folder("assets"), served.server._around)
    with pytest.raises(OSError, match="is taken: stop what listens there, or set another CRAFIQ_LISTEN"):
        await second.start(served.address)
