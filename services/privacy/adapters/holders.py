"""What all services hold about people: asked of each, kept for a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import grpc.aio
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from chassis.clock import Clock

FRESH = timedelta(seconds=60)
# Somebody who is silent is asked again soon, but not by every visitor.
FRESH_WITH_SILENT = timedelta(seconds=5)
PATIENCE = 2.0  # seconds for all, who are asked at once


@dataclass(frozen=True, slots=True)
class DataMap:
    """The inventories of those who answered, and the names of those who did not."""

    descriptions: tuple[promises_pb2.Description, ...]
    silent: tuple[str, ...]


class Holders:
    """Every service with rows of people, privacy among them; `channels` by name."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], clock: Clock) -> None:
        self._stubs = {name: promises_pb2_grpc.DataHolderStub(channels[name]) for name in sorted(channels)}
        self._clock = clock
        self._known: tuple[DataMap, datetime] | None = None
        self._asking = asyncio.Lock()

    async def data_map(self) -> DataMap:
        """What is held where. A service that is down is named in it and holds nothing up."""
        async with self._asking:  # those who come meanwhile get the same answer
            if self._known is None or self._known[1] <= self._clock.now():
                found = await self._ask()
                self._known = found, self._clock.now() + (FRESH_WITH_SILENT if found.silent else FRESH)
            return self._known[0]

    async def _ask(self) -> DataMap:
        answers = await asyncio.gather(*(self._describe(stub) for stub in self._stubs.values()))
        return DataMap(
            tuple(answer for answer in answers if answer is not None),
            tuple(name for name, answer in zip(self._stubs, answers, strict=True) if answer is None),
        )

    @staticmethod
    async def _describe(stub: promises_pb2_grpc.DataHolderAsyncStub) -> promises_pb2.Description | None:
        try:
            return await stub.Describe(promises_pb2.DescribeRequest(), timeout=PATIENCE)
        except grpc.aio.AioRpcError:
            return None
