"""OpenAI's own SDK finds at the stand-in what it finds at OpenAI."""

from __future__ import annotations

import base64
import hashlib
import io
import time
from typing import TYPE_CHECKING

import openai
import pytest
from PIL import Image

from sandbox import pictures

if TYPE_CHECKING:
    from openai.types import ImagesResponse

    from .conftest import OpenAISandbox

MODEL = "gpt-image-2"


def _pictures(answer: ImagesResponse) -> list[Image.Image]:
    encoded = [item.b64_json for item in answer.data or []]
    return [Image.open(io.BytesIO(base64.b64decode(text or ""))) for text in encoded]


def _photo(*, with_exif: bool = False, colour: str = "red", kind: str = "JPEG") -> bytes:
    picture = Image.new("RGB", (640, 480), colour)
    out = io.BytesIO()
    if with_exif:
        exif = Image.Exif()
        exif[0x010F] = "A camera maker"
        picture.save(out, kind, exif=exif)
    else:
        picture.save(out, kind)
    return out.getvalue()


async def test_a_picture_is_drawn_fresh_from_the_prompt(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    first = await client.images.generate(model=MODEL, prompt="a lighthouse in a storm", quality="low")
    again = await client.images.generate(model=MODEL, prompt="a lighthouse in a storm", quality="low")
    other = await client.images.generate(model=MODEL, prompt="a red bicycle", quality="low")

    (picture,) = _pictures(first)
    assert (picture.format, picture.size) == ("PNG", (1024, 1024))
    assert len(picture.getcolors(1 << 20) or []) > 200
    assert _pictures(again)[0].tobytes() == picture.tobytes()
    assert _pictures(other)[0].tobytes() != picture.tobytes()
    assert (first.size, first.quality, first.output_format) == ("1024x1024", "low", "png")


@pytest.mark.parametrize(
    ("size", "output_format"),
    [("1536x1024", "jpeg"), ("1024x1536", "webp"), ("1536x864", "png"), ("2048x2048", "jpeg")],
)
async def test_size_and_format_are_as_asked(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI, size: str, output_format: str
) -> None:
    answer = await client.images.generate(
        model=MODEL, prompt="hills", size=size, output_format=output_format, quality="low"
    )
    (picture,) = _pictures(answer)
    assert f"{picture.width}x{picture.height}" == size
    assert picture.format == output_format.upper()


async def test_several_pictures_differ_and_are_counted(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    answer = await client.images.generate(model=MODEL, prompt="three towers", n=3, quality="low")
    drawn = {p.tobytes() for p in _pictures(answer)}
    assert len(drawn) == 3
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3 * 272
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert await vendor.stats() == {"requests": 1, "accepted": 1, "pictures": 3}


def test_drawing_costs_less_than_a_sixth_of_a_second_of_cpu() -> None:
    begun = time.process_time()
    pictures.encode(pictures.draw("quickly", 0, (1024, 1024)), "png")
    assert time.process_time() - begun < 0.15


async def test_an_edit_shows_the_given_picture(vendor: OpenAISandbox, client: openai.AsyncOpenAI) -> None:
    means = []
    for colour in ("red", "blue"):
        answer = await client.images.edit(
            model=MODEL,
            prompt="as an oil painting",
            image=("photo.jpg", _photo(colour=colour), "image/jpeg"),
            size="1024x1024",
        )
        (picture,) = _pictures(answer)
        means.append(picture.convert("RGB").resize((1, 1)).getpixel((0, 0)))
        assert answer.usage is not None
        assert answer.usage.input_tokens_details.image_tokens > 0
    red, blue = means
    assert red[0] > red[2] + 40
    assert blue[2] > blue[0] + 40


async def test_several_pictures_and_a_mask_are_taken(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    mask = io.BytesIO()
    Image.new("RGBA", (640, 480), (0, 0, 0, 255)).save(mask, "PNG")
    answer = await client.images.edit(
        model=MODEL,
        prompt="together",
        image=[("a.jpg", _photo(), "image/jpeg"), ("b.png", _photo(colour="blue", kind="PNG"), "image/png")],
        mask=("mask.png", mask.getvalue(), "image/png"),
    )
    (picture,) = _pictures(answer)
    # Nothing of the mask is transparent: the first picture stays as it was.
    assert picture.convert("RGB").getpixel((512, 512)) == pytest.approx((254, 0, 0), abs=3)
    (row,) = await vendor.received()
    assert [f["field"] for f in row["files"]] == ["image[]", "image[]", "mask"]


async def test_an_edit_comes_as_json_too(vendor: OpenAISandbox) -> None:
    photo = _photo()
    body = {
        "model": MODEL,
        "prompt": "as a drawing",
        "images": [{"image_url": f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"}],
    }
    async with vendor.http.post(f"{vendor.url}/v1/images/edits", json=body) as answer:
        assert answer.status == 200
        assert answer.headers["x-request-id"].startswith("req_")
        assert int(answer.headers["x-ratelimit-remaining-requests"]) > 0
    (row,) = await vendor.received()
    assert [(f["sha256"], f["sizeBytes"]) for f in row["files"]] == [
        (hashlib.sha256(photo).hexdigest(), len(photo))
    ]


async def test_received_metadata_is_noticed(vendor: OpenAISandbox, client: openai.AsyncOpenAI) -> None:
    for with_exif in (False, True):
        await client.images.edit(
            model=MODEL,
            prompt="x",
            image=("photo.jpg", _photo(with_exif=with_exif), "image/jpeg"),
            user="somebody",
        )
    clean, dirty = await vendor.received()
    assert clean["files"][0]["metadata"] == []
    assert dirty["files"][0]["metadata"] == ["exif"]
    assert dirty["files"][0]["hasMetadata"] is True
    assert (dirty["prompt"], dirty["parameters"]) == ("x", {"user": "somebody"})


async def test_models_say_when_they_end(vendor: OpenAISandbox, client: openai.AsyncOpenAI) -> None:
    models = {m.id: m.shutdown_date async for m in client.models.list()}
    assert models["gpt-image-2"] is None
    assert (await client.models.retrieve("gpt-image-2.6-flare")).owned_by == "system"
    assert "gpt-image-1" not in models
    assert not any("price" in key for m in models for key in m)
