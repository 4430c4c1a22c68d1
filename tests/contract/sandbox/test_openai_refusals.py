"""What OpenAI refuses the stand-in refuses, and faults are what the SDK knows as such."""

from __future__ import annotations

import asyncio
import base64
import io
from datetime import date
from typing import TYPE_CHECKING, Any

import openai
import pytest
from PIL import Image, UnidentifiedImageError

from sandbox.openai import catalogue
from sandbox.openai.errors import ApiError
from tests.support import eventually

if TYPE_CHECKING:
    from .conftest import OpenAISandbox

MODEL = "gpt-image-2"


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"prompt": ""}, "string_below_min_length", "prompt"),
        ({"prompt": "x" * 32_001}, "string_above_max_length", "prompt"),
        ({"n": 11}, "integer_above_max_value", "n"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"n": "2"}, "invalid_type", "n"),
        ({"size": "1000x1000"}, "invalid_value", "size"),
        ({"size": "3840x1024"}, "invalid_value", "size"),
        ({"size": "huge"}, "invalid_value", "size"),
        ({"quality": "hd"}, "invalid_value", "quality"),
        ({"quality": "max"}, "invalid_value", "quality"),
        ({"output_format": "gif"}, "invalid_value", "output_format"),
        ({"background": "transparent", "output_format": "jpeg"}, "invalid_value", "output_format"),
        ({"moderation": "none"}, "invalid_value", "moderation"),
        ({"response_format": "url"}, "unknown_parameter", "response_format"),
        ({"style": "vivid"}, "unknown_parameter", "style"),
        ({"prompt": 5}, "invalid_type", "prompt"),
        ({"stream": True}, "unsupported_value", "stream"),
    ],
)
async def test_a_wrong_parameter_is_a_bad_request(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI, asked: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.post(
            "/images/generations", body={"model": MODEL, "prompt": "x", **asked}, cast_to=object
        )
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.request_id is not None
    assert (await vendor.stats())["accepted"] == 0


async def test_without_a_prompt_nothing_is_drawn(vendor: OpenAISandbox, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.post("/images/generations", body={"model": MODEL}, cast_to=object)
    assert refused.value.code == "missing_required_parameter"


async def test_a_model_that_was_shut_down_is_not_found(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.images.generate(model="gpt-image-1", prompt="x")
    assert refused.value.code == "model_not_found"


def test_a_model_ends_on_its_day() -> None:
    assert catalogue.find("gpt-image-1.5", date(2026, 11, 30)).shutdown == date(2026, 12, 1)
    with pytest.raises(ApiError):
        catalogue.find("gpt-image-1.5", date(2026, 12, 1))


async def test_a_wrong_key_is_refused_and_not_repeated(vendor: OpenAISandbox) -> None:
    url = f"{vendor.url}/v1"
    async with openai.AsyncOpenAI(api_key="sk-somebody-elses-key", base_url=url, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.images.generate(model=MODEL, prompt="x")
    assert refused.value.code == "invalid_api_key"
    assert "somebody" not in str(refused.value)


@pytest.mark.parametrize("path", ["/sandbox/requests", "/sandbox/stats", "/sandbox/faults", "/v1/models"])
async def test_nothing_is_open(vendor: OpenAISandbox, path: str) -> None:
    async with vendor.http.get(f"{vendor.url}{path}", headers={"Authorization": "Bearer no"}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [
        (b"not a picture", "image/png", "invalid_image_file"),
        (b"%PDF-1.7", "application/pdf", "unsupported_file_mimetype"),
    ],
)
async def test_what_is_no_picture_is_not_edited(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI, content: bytes, content_type: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.edit(model=MODEL, prompt="x", image=("x.png", content, content_type))
    assert refused.value.code == code


async def test_an_unknown_path_is_not_found_in_openais_shape(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.post("/images/variations", body={}, cast_to=object)
    assert "Invalid URL (POST /v1/images/variations)" in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "exception", "code"),
    [
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("500", openai.InternalServerError, None),
        ("503", openai.InternalServerError, None),
        ("refusal", openai.BadRequestError, "moderation_blocked"),
    ],
)
async def test_a_fault_before_acceptance_costs_nothing_and_happens_once(
    vendor: OpenAISandbox,
    client: openai.AsyncOpenAI,
    kind: str,
    exception: type[openai.APIStatusError],
    code: str | None,
) -> None:
    await vendor.switch_on({"kind": kind})
    with pytest.raises(exception) as refused:
        await client.images.generate(model=MODEL, prompt="x")
    assert refused.value.code == code
    assert (await vendor.stats())["accepted"] == 0
    await client.images.generate(model=MODEL, prompt="x", quality="low")
    assert (await vendor.stats())["accepted"] == 1


async def test_a_fault_meets_only_the_prompt_it_is_meant_for(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    await vendor.switch_on({"kind": "503", "match": "unlucky", "times": None})
    await client.images.generate(model=MODEL, prompt="lucky", quality="low")
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(model=MODEL, prompt="an unlucky one")


async def test_an_accepted_answer_can_be_lost_and_is_charged(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    await vendor.switch_on({"kind": "accepted_answer_lost"})
    with pytest.raises(openai.APIConnectionError):
        await client.images.generate(model=MODEL, prompt="x")
    assert (await vendor.stats())["accepted"] == 1
    (row,) = await vendor.received()
    assert (row["charged"], row["status"], row["fault"]) == (True, None, "accepted_answer_lost")


async def test_a_late_answer_is_charged_though_nobody_waits(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    await vendor.switch_on({"kind": "delay", "seconds": 2})
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.3).images.generate(model=MODEL, prompt="x")

    async def accepted() -> bool:
        return (await vendor.stats())["accepted"] == 1

    await eventually(accepted)  # whoever gives up so soon may be heard later


@pytest.mark.parametrize("kind", ["garbage", "truncated"])
async def test_a_200_may_hold_no_picture(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI, kind: str
) -> None:
    await vendor.switch_on({"kind": kind})
    answer = await client.images.generate(model=MODEL, prompt="x", quality="low")
    content = base64.b64decode((answer.data or [])[0].b64_json or "")
    with pytest.raises((UnidentifiedImageError, OSError)):
        Image.open(io.BytesIO(content)).load()
    assert (await vendor.stats())["accepted"] == 1


@pytest.mark.parametrize("wanted", [{"kind": "no-such"}, {"kind": "429", "times": 0}, {"when": "now"}])
async def test_a_fault_that_does_not_exist_is_refused(
    vendor: OpenAISandbox, wanted: dict[str, object]
) -> None:
    async with vendor.http.put(f"{vendor.url}/sandbox/faults", json=[wanted]) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "invalid_fault"


async def test_many_at_once_are_each_answered(vendor: OpenAISandbox, client: openai.AsyncOpenAI) -> None:
    answers = await asyncio.gather(
        *(client.images.generate(model=MODEL, prompt=f"picture {n}", quality="low") for n in range(8))
    )
    assert len({(a.data or [])[0].b64_json for a in answers}) == 8
