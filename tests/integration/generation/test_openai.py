"""The adapter on the wire: what leaves, how often, and what each fault comes back as."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from services.generation.adapters.openai import ALLOWED_FIELDS, OpenAI, OpenAILimits, openai_session
from services.generation.adapters.pictures import type_of
from services.generation.domain import (
    ContentRefused,
    Delivered,
    Input,
    NotAccepted,
    Order,
    Task,
    Unanswered,
)
from tests.integration.generation.vendor import KEY, OpenAISandbox
from tests.unit.generation.test_pictures import picture

PARAMETERS = {"size": "1024x1024", "quality": "low", "output_format": "png"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with openai_session() as session:
        yield session


def adapter(http: aiohttp.ClientSession, url: str, key: str = KEY, seconds: float = 20) -> OpenAI:
    return OpenAI(
        http, url, SecretStr(key), OpenAILimits(total_seconds=seconds, answer_bytes=8 * 1024 * 1024)
    )


def from_words(count: int = 1, prompt: str = "") -> Order:
    words = prompt or f"a brass key {uuid4()}"
    return Order("gpt-image-2.6-flare", Task.TEXT_TO_IMAGE, words, count, PARAMETERS, ())


def from_pictures() -> Order:
    inputs = (
        Input("assets/1", picture("PNG", (256, 256)), "image/png"),
        Input("assets/2", picture("JPEG", (256, 256)), "image/jpeg"),
    )
    words = f"in copper {uuid4()}"
    return Order("gpt-image-2.6-flare", Task.IMAGE_TO_IMAGE, words, 1, PARAMETERS, inputs)


async def test_pictures_are_made_from_words(openai: OpenAISandbox, http: aiohttp.ClientSession) -> None:
    made = await adapter(http, openai.url).generate(from_words(count=2))
    assert isinstance(made, Delivered)
    assert [type_of(content) for content in made.media] == ["image/png", "image/png"]
    assert made.reference.startswith("req_")


@pytest.mark.promise("5-ai-min-input", "2a-input-purpose")
@pytest.mark.parametrize("order", [from_words(), from_pictures()], ids=["generations", "edits"])
async def test_what_leaves_is_what_the_record_will_say_and_nothing_else(
    openai: OpenAISandbox, http: aiohttp.ClientSession, order: Order
) -> None:
    vendor = adapter(http, openai.url)
    assert isinstance(await vendor.generate(order), Delivered)
    [seen] = await openai.requests(order.prompt)
    received = {"prompt", "model", *seen["parameters"], *(file["field"][:5] for file in seen["files"])}
    assert received == set(vendor.fields(order)) <= ALLOWED_FIELDS
    assert [file["filename"] for file in seen["files"]] == [
        f"image-{n}.{kind}" for n, kind in enumerate(("png", "jpg"))
    ][: len(order.inputs)]
    assert set(seen["headers"]) == {
        "host", "authorization", "accept", "accept-encoding", "user-agent", "content-type", "content-length",
        "connection",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("delay", Unanswered), ("accepted_answer_lost", Unanswered), ("500", Unanswered), ("503", Unanswered),
        ("429", NotAccepted), ("insufficient_quota", NotAccepted), ("refusal", ContentRefused),
        ("garbage", Delivered), ("truncated", Delivered),
    ],
)  # fmt: skip
async def test_each_fault_has_its_end_and_the_vendor_is_asked_once(
    openai: OpenAISandbox, http: aiohttp.ClientSession, kind: str, end: type
) -> None:
    order = from_words()
    await openai.fault({"kind": kind, "match": order.prompt, "times": None, "seconds": 3})
    patience = 1.5 if kind == "delay" else 20
    result = await adapter(http, openai.url, seconds=patience).generate(order)
    assert type(result) is end
    if isinstance(result, Delivered):
        assert [type_of(content) for content in result.media] == [None]
    await asyncio.sleep(0)
    assert len(await openai.requests(order.prompt)) == 1
    await openai.fault()


async def test_without_a_connection_nothing_was_sent(http: aiohttp.ClientSession) -> None:
    for url in ("http://127.0.0.1:1/v1", "http://vendor.invalid/v1"):
        result = await adapter(http, url).generate(from_words())
        assert isinstance(result, NotAccepted)
        assert result.again
        assert not result.arrived


async def test_a_failed_handshake_is_no_connection(
    openai: OpenAISandbox, http: aiohttp.ClientSession
) -> None:
    result = await adapter(http, openai.url.replace("http:", "https:")).generate(from_words())
    assert isinstance(result, NotAccepted)
    assert not result.arrived


async def test_a_wrong_key_is_not_tried_again(openai: OpenAISandbox, http: aiohttp.ClientSession) -> None:
    result = await adapter(http, openai.url, key="sk-wrong-key").generate(from_words())
    assert isinstance(result, NotAccepted)
    assert not result.again


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A peer that says exactly these bytes to whatever it is sent, and hangs up."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked
    finally:
        server.close()


@pytest.mark.promise("5-no-sale")
async def test_input_does_not_follow_a_redirect(http: aiohttp.ClientSession) -> None:
    async with answering(b"") as (elsewhere, followed):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        async with answering(moved) as (url, _):
            result = await adapter(http, url).generate(from_words())
    assert isinstance(result, NotAccepted)
    assert followed == []


async def test_an_answer_that_breaks_off_is_none(http: aiohttp.ClientSession) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{") as (url, asked):
        assert isinstance(await adapter(http, url).generate(from_words()), Unanswered)
    assert len(asked) == 1


async def test_an_answer_without_end_is_cut_off(http: aiohttp.ClientSession) -> None:
    flood = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b" " * 9_000_000
    async with answering(flood) as (url, _):
        assert await adapter(http, url).generate(from_words()) == Delivered(())
