"""A client as one should be: what gets no answer is asked again, with the same requestId, until it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import aiohttp

from cli.api import Api, ApiRefused, Json

T = TypeVar("T")
PATIENCE = 90.0  # seconds
PAUSE = 0.1  # seconds
AWAY = (502, 503, 504)
PRESENT = 412
"""What storage says to a PUT of what it has: the answer was lost, the bytes were not."""


class Impatient(AssertionError):
    """Something was not answered for a minute and a half."""


async def until_answered(ask: Callable[[], Awaitable[T]], passing: Callable[[Exception], bool]) -> T:
    """Ask until there is an answer, for as long as what comes instead is `passing`."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return await ask()
        except Exception as error:
            if not passing(error):
                raise
            if monotonic() > until:
                raise Impatient(f"no answer in {PATIENCE:.0f} s, at last: {error!r}") from error
        await asyncio.sleep(PAUSE)


def away(error: Exception) -> bool:
    """Whether nobody was there to answer, or said to ask again."""
    if isinstance(error, ApiRefused):
        return error.status in AWAY or error.again
    return isinstance(error, (aiohttp.ClientError, TimeoutError, OSError))


def storage_away(error: Exception) -> bool:
    """The same for storage, whose faults are all its own."""
    return away(error) or (isinstance(error, ApiRefused) and error.status >= 500)


class Patient(Api):
    """An `Api` that outlives outages. Each call is made with one body, so that it is one wish."""

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """As `Api.call`."""
        return await until_answered(lambda: Api.call(self, method, path, body), away)

    async def text(self, path: str) -> str:
        """As `Api.text`."""
        return await until_answered(lambda: Api.text(self, path), away)

    async def fetch(self, url: str) -> bytes:
        """As `Api.fetch`."""
        return await until_answered(lambda: Api.fetch(self, url), storage_away)

    async def put(self, url: str, content: bytes, headers: dict[str, str]) -> None:
        """As `Api.put`; bytes that are there already are there."""
        try:
            await until_answered(lambda: Api.put(self, url, content, headers), storage_away)
        except ApiRefused as refused:
            if refused.status != PRESENT:
                raise
