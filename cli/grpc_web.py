"""gRPC-Web by hand (binary framing), as a browser's client speaks it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import aiohttp

HEADERS = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
TRAILERS = 0x80


@dataclass(frozen=True)
class Answer:
    """status: of HTTP. messages: still serialised. trailers: grpc-status and the like."""

    status: int
    messages: list[bytes]
    trailers: dict[str, str]


async def call(
    http: aiohttp.ClientSession, path: str, request: Any, headers: dict[str, str] | None = None
) -> Answer:
    """One call of `path`, "/crafiq.assets.v1.AssetsService/GetAsset"; a stream is read to its end."""
    return await sent(http, path, framed(request.SerializeToString()), headers)


def framed(body: bytes, flags: int = 0) -> bytes:
    """A message with its frame."""
    return struct.pack(">BI", flags, len(body)) + body


async def sent(
    http: aiohttp.ClientSession, path: str, content: bytes, headers: dict[str, str] | None = None
) -> Answer:
    """The answer to a body that may be no frame at all."""
    async with http.post(path, data=content, headers={**HEADERS, **(headers or {})}) as answer:
        messages, trailers = _frames(await answer.read()) if answer.status == 200 else ([], {})
        # An answer without a message has its trailers among the headers.
        known = {k.lower(): v for k, v in answer.headers.items() if k.lower().startswith("grpc-")}
        return Answer(answer.status, messages, {**known, **trailers})


def _frames(content: bytes) -> tuple[list[bytes], dict[str, str]]:
    messages, trailers = [], {}
    while content:
        flags, length = struct.unpack(">BI", content[:5])
        frame, content = content[5 : 5 + length], content[5 + length :]
        if flags & TRAILERS:
            pairs = (line.split(":", 1) for line in frame.decode().split("\r\n") if ":" in line)
            trailers = {key.strip(): value.strip() for key, value in pairs}
        else:
            messages.append(frame)
    return messages, trailers
