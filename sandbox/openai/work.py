"""The pictures that a request asks for, and what they cost: pure work, run in a thread."""

from __future__ import annotations

import base64
import math
from typing import Any

from PIL import Image

from sandbox import pictures
from sandbox.media import NotAPicture, opened
from sandbox.openai import catalogue, errors
from sandbox.openai.journal import ReceivedFile
from sandbox.openai.parameters import Wanted


def decode(files: list[ReceivedFile]) -> list[Image.Image]:
    """The given pictures. Raises ApiError naming the first, from 1, that is none."""
    decoded = []
    for place, file in enumerate(files, 1):
        try:
            decoded.append(opened(file.content))
        except NotAPicture as error:
            raise errors.invalid_image(place) from error
    return decoded


def made(wanted: Wanted, sources: list[Image.Image], mask: Image.Image | None) -> list[bytes]:
    """`wanted.n` encoded pictures: drawn from the prompt, or from the sources when there are some."""
    return [_one(wanted, sources, mask, index) for index in range(wanted.n)]


def _one(wanted: Wanted, sources: list[Image.Image], mask: Image.Image | None, index: int) -> bytes:
    if sources:
        picture = pictures.retouch(sources, wanted.prompt, index, wanted.size)
        if mask is not None:
            picture = pictures.only_where_transparent(picture, sources[0], mask)
    else:
        picture = pictures.draw(wanted.prompt, index, wanted.size)
    if wanted.background == "transparent":
        picture = pictures.cut_out(picture)
    return pictures.encode(picture, wanted.output_format, wanted.output_compression)


def usage(wanted: Wanted, sources: list[Image.Image]) -> dict[str, Any]:
    """Tokens: text by four characters, pictures by size and quality."""
    text = math.ceil(len(wanted.prompt) / 4)
    given = sum(catalogue.input_tokens(source.size) for source in sources)
    output = wanted.n * catalogue.output_tokens(wanted.quality, wanted.size)
    return {
        "input_tokens": text + given,
        "input_tokens_details": {"text_tokens": text, "image_tokens": given},
        "output_tokens": output,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
        "total_tokens": text + given + output,
    }


def answer(wanted: Wanted, sources: list[Image.Image], encoded: list[bytes], created: int) -> dict[str, Any]:
    """The body of a 200."""
    body = {
        "created": created,
        "background": wanted.background,
        "data": [{"b64_json": base64.b64encode(content).decode()} for content in encoded],
        "output_format": wanted.output_format,
        "quality": wanted.quality,
        "size": f"{wanted.size[0]}x{wanted.size[1]}",
        "usage": usage(wanted, sources),
    }
    if wanted.safety_identifier is not None:
        body["safety_identifier"] = wanted.safety_identifier
    return body
