"""The three ways a request comes: JSON, JSON with data URLs, multipart with files."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from aiohttp import BodyPartReader, web

from sandbox.openai import errors
from sandbox.openai.journal import ReceivedFile

PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp")
MOST_PICTURES = 16
LARGEST_PICTURE = 50 * 1024 * 1024
LARGEST_MASK = 4 * 1024 * 1024
_DATA_URL = re.compile(r"data:(?P<type>[\w/+.-]+);base64,(?P<data>.*)", re.DOTALL)

Form = tuple[dict[str, Any], list[ReceivedFile]]


async def read_json(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object. Raises ApiError."""
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise errors.not_json() from error
    if not isinstance(body, dict):
        raise errors.not_json()
    return body


async def read_edit(request: web.Request) -> Form:
    """Fields and pictures of an edit, multipart or JSON. Raises ApiError."""
    if request.content_type == "multipart/form-data":
        return await _multipart(request)
    if request.content_type == "application/json":
        return _data_urls(await read_json(request))
    raise errors.wrong_content_type(request.content_type)


async def _multipart(request: web.Request) -> Form:
    fields: dict[str, Any] = {}
    files: list[ReceivedFile] = []
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise errors.not_json()
            if part.filename is None:
                fields[part.name] = await part.text()
            else:
                files.append(await _file(part, part.name, part.filename))
    except ValueError as error:  # a boundary that never comes, a header that is none
        raise errors.ApiError(400, "Could not parse multipart form.", code=None) from error
    return fields, files


async def _file(part: BodyPartReader, field: str, filename: str) -> ReceivedFile:
    content_type = part.headers.get("Content-Type", "application/octet-stream")
    if field not in {"image", "image[]", "mask"} and not re.fullmatch(r"image\[\d+\]", field):
        raise errors.unknown(field)
    if content_type not in PICTURE_TYPES:
        raise errors.unsupported_mimetype(field, content_type)
    content = bytes(await part.read())
    if len(content) > (LARGEST_MASK if field == "mask" else LARGEST_PICTURE):
        raise errors.too_large()
    return ReceivedFile(field, filename, content_type, content)


def _data_urls(body: dict[str, Any]) -> Form:
    images = body.pop("images", None)
    if images is None:
        raise errors.missing("images")
    if not isinstance(images, list):
        raise errors.invalid_type("images", "an array", images)
    named = [(f"images[{place}]", image) for place, image in enumerate(images)]
    if "mask" in body:
        named.append(("mask", body.pop("mask")))
    return body, [_data_url(name, image) for name, image in named]


def _data_url(name: str, image: Any) -> ReceivedFile:
    url = image.get("image_url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        # A file_id would need the files API, which the product never uses: it would keep the Input.
        raise errors.missing(f"{name}.image_url")
    match = _DATA_URL.fullmatch(url)
    if match is None or match["type"] not in PICTURE_TYPES:
        raise errors.unsupported_mimetype(f"{name}.image_url", url.split(";", 1)[0][:80])
    try:
        content = base64.b64decode(match["data"], validate=True)
    except binascii.Error as error:
        raise errors.invalid_image(1) from error
    return ReceivedFile(f"{name}.image_url", "", match["type"], content)


def sort_pictures(files: list[ReceivedFile]) -> tuple[list[ReceivedFile], ReceivedFile | None]:
    """The pictures to edit and the mask. Raises ApiError when there is no picture or are too many."""
    masks = [f for f in files if f.field.startswith("mask")]
    pictures = [f for f in files if not f.field.startswith("mask")]
    if not pictures:
        raise errors.missing("image")
    if len(pictures) > MOST_PICTURES:
        raise errors.ApiError(
            400,
            f"Invalid 'image': array too long. Expected an array with maximum length {MOST_PICTURES}, but "
            f"got an array with length {len(pictures)} instead.",
            code="array_above_max_length",
            param="image",
        )
    return pictures, masks[0] if masks else None
