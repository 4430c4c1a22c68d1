"""The bus, purged of one person: the last part of a subject is whom a message is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from nats.aio.client import Client
from nats.errors import Error as BusError

from chassis.errors import Unavailable
from chassis.events import stream_of

PATIENCE = 5.0  # seconds


class BusNotPurged(Unavailable):
    """The bus does not answer, or still has something."""

    sentence = "The bus can't be purged right now; it is tried again."


class Bus:
    """The streams of `services`."""

    def __init__(self, client: Client, services: Sequence[str]) -> None:
        self._client, self._streams = client, [stream_of(name) for name in services]

    async def purge(self, account: UUID) -> int:
        """Remove every message about an account; answers how many there were. Raises BusNotPurged."""
        about = f"crafiq.*.v1.*.{account}"
        try:
            async with asyncio.timeout(PATIENCE):
                found = sum(await asyncio.gather(*(self._purged(name, about) for name in self._streams)))
                left = sum(await asyncio.gather(*(self._left(name, about) for name in self._streams)))
        except (BusError, TimeoutError, OSError, KeyError) as error:
            raise BusNotPurged from error
        if left:
            raise BusNotPurged
        return found

    # nats-py's own calls leave out the number that were purged, and make a dozen objects of what is left.
    async def _purged(self, stream: str, about: str) -> int:
        """How many messages there were, says the server."""
        purged: int = (await self._asked(f"PURGE.{stream}", filter=about))["purged"]
        return purged

    async def _left(self, stream: str, about: str) -> int:
        """How many messages there are."""
        info = await self._asked(f"INFO.{stream}", subjects_filter=about)
        return sum((info["state"].get("subjects") or {}).values())

    async def _asked(self, what: str, **how: str) -> Any:
        """What the server answers; an error has none of what is looked for."""
        body = json.dumps(how).encode()
        return json.loads((await self._client.request(f"$JS.API.STREAM.{what}", body, timeout=PATIENCE)).data)
