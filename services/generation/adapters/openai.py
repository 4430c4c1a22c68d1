"""OpenAI's image endpoints (`/v1/images/generations`, `/v1/images/edits`), called once each.

They are synchronous: no queue, no id to ask after, no idempotency key. So the only thing known after
a broken call is whether it can have been accepted, and that is what the Result says.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from pydantic import SecretStr

from services.generation.domain import (
    ContentRefused,
    Delivered,
    FailureReason,
    NotAccepted,
    Order,
    Result,
    Unanswered,
)

# Everything that may ever leave for this vendor. No user id: `user` is not among them.
PARAMETERS = ("size", "quality", "output_format")
ALLOWED_FIELDS = frozenset({"prompt", "model", "n", "image", *PARAMETERS})

CONNECT_SECONDS = 5.0
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class OpenAILimits:
    """`total_seconds`: for a whole call, the vendor's work included. `answer_bytes`: for a whole answer."""

    total_seconds: float = 180.0
    answer_bytes: int = 192 * 1024 * 1024


class AnswerTooLarge(Exception):
    """More bytes than any order can need."""


class OpenAI:
    """A `Vendor`. `url` ends in `/v1`; `http` is made by `openai_session`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: SecretStr, limits: OpenAILimits) -> None:
        self._http, self._url, self._key, self._limits = http, url.rstrip("/"), key, limits

    def fields(self, order: Order) -> tuple[str, ...]:
        """The names of everything that will be sent."""
        return (*_values(order), *(("image",) if order.inputs else ()))

    async def generate(self, order: Order) -> Result:
        """Ask once; every end is a Result."""
        try:
            async with self._asked(order) as answer:
                body = await self._body(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # No connection (DNS, TCP, TLS): nothing was sent.
            return NotAccepted(type(error).__name__, again=True, arrived=False)
        except AnswerTooLarge:
            return Delivered(())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Unanswered(type(error).__name__)
        # Tens of megabytes of base64 would hold up everybody else on the event loop.
        return await asyncio.to_thread(read_answer, answer.status, answer.headers, body)

    async def purge(self, _reference: str) -> bool:
        """OpenAI keeps what it was sent to watch for abuse, and lets nobody remove it."""
        return False

    @asynccontextmanager
    async def _asked(self, order: Order) -> AsyncIterator[aiohttp.ClientResponse]:
        values = _values(order)
        action = "edits" if order.inputs else "generations"
        content: dict[str, Any] = {"data": _form(order, values)} if order.inputs else {"json": values}
        timeout = aiohttp.ClientTimeout(
            total=self._limits.total_seconds, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
        )
        async with self._http.post(
            f"{self._url}/images/{action}",
            headers={"authorization": f"Bearer {self._key.get_secret_value()}"},
            allow_redirects=False,  # where Input goes is decided here, not by an answer
            timeout=timeout,
            **content,
        ) as answer:
            yield answer

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        parts = bytearray()
        async for part in answer.content.iter_chunked(256 * 1024):
            parts += part
            if len(parts) > self._limits.answer_bytes:
                raise AnswerTooLarge
        return bytes(parts)


@asynccontextmanager
async def openai_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the vendor: one a call, no cookies, no proxy from the environment.

    A kept connection that the vendor closes at the wrong moment would turn a refused order into one whose
    fate is unknown, for a handshake saved on a call of many seconds.
    """
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "crafiq"},
        trust_env=False,
    ) as session:
        yield session


def _values(order: Order) -> dict[str, str | int]:
    parameters = {name: order.parameters[name] for name in PARAMETERS if name in order.parameters}
    return {"prompt": order.prompt, "model": order.model, "n": order.count, **parameters}


def _form(order: Order, values: Mapping[str, str | int]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in values.items():
        form.add_field(name, str(value))
    for place, one in enumerate(order.inputs):
        # The file is named by its place: what a person called it is nobody else's business.
        filename = f"image-{place}.{EXTENSIONS.get(one.content_type, 'bin')}"
        form.add_field("image[]", one.content, filename=filename, content_type=one.content_type)
    return form


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Result:
    """What an answer of OpenAI means; `body` is whole. Nothing of its text goes any further."""
    reference = headers.get("x-request-id", "")[:200]
    if status == 200:
        return Delivered(_pictures(body), reference)
    code = _error_code(body)
    if status >= 500 or status in (408, 409):
        # The order may have been taken before this went wrong.
        return Unanswered(f"HTTP_{status}", reference)
    if status == 400 and code in ("moderation_blocked", "content_policy_violation"):
        return ContentRefused(reference)
    if status == 429 and code != "insufficient_quota":
        return NotAccepted("HTTP_429", again=True, wait=_retry_after(headers), reference=reference)
    reason = FailureReason.ORDER_REFUSED if status in (400, 413, 422) else FailureReason.VENDOR_UNAVAILABLE
    return NotAccepted(f"HTTP_{status}", reason=reason, reference=reference)


def _pictures(body: bytes) -> tuple[bytes, ...]:
    try:
        data = json.loads(body)["data"]
        return tuple(base64.b64decode(entry["b64_json"], validate=True) for entry in data)
    except (ValueError, KeyError, TypeError, binascii.Error):
        return ()


def _error_code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    seconds = headers.get("retry-after", "")
    return timedelta(seconds=min(int(seconds), 3600)) if seconds.isdecimal() else None
