"""The bus, purged of one person: the last part of a subject is whom a message is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
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
                left = await self._count(about)
        except (BusError, TimeoutError, OSError, KeyError) as error:
            raise BusNotPurged from error
        if left:
            raise BusNotPurged
        return found

    async def _purged(self, stream: str, about: str) -> int:
        """How many messages there were, says the server; nats-py's own call leaves that out."""
        asked = json.dumps({"filter": about}).encode()
        answer = await self._client.request(f"$JS.API.STREAM.PURGE.{stream}", asked, timeout=PATIENCE)
        purged: int = json.loads(answer.data)["purged"]  # an error has none
        return purged

    async def _count(self, about: str) -> int:
        """How many messages there are."""
        manager = self._client.jetstream(timeout=PATIENCE)
        infos = await asyncio.gather(
            *(manager.stream_info(name, subjects_filter=about) for name in self._streams)
        )
        return sum(sum((info.state.subjects or {}).values()) for info in infos)
