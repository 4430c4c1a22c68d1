"""What all services hold about people: described, erased, looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import grpc.aio
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from chassis.clock import Clock
from chassis.rpc import refusal_from
from promises.erasing import Wanted

FRESH = timedelta(seconds=60)
# Somebody who is silent is asked again soon, but not by every visitor.
FRESH_WITH_SILENT = timedelta(seconds=5)
PATIENCE = 2.0  # seconds for all, who are asked at once
LOOKING = 10.0  # seconds; what lies in storage is listed


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

    @property
    def names(self) -> list[str]:
        """Who they are."""
        return list(self._stubs)

    async def plans(self, account: UUID) -> list[promises_pb2.Plan]:
        """What erasing an account would do, of those who answer in time."""
        request = promises_pb2.PreviewRequest(account=f"accounts/{account}")
        answers = await asyncio.gather(
            *(stub.Preview(request, timeout=PATIENCE) for stub in self._stubs.values()),
            return_exceptions=True,
        )
        return [answer for answer in answers if isinstance(answer, promises_pb2.Plan)]

    async def erase(self, holder: str, wanted: Wanted) -> promises_pb2.Standing:
        """Ask a holder, once more, to erase. Raises a Refusal if it does not answer."""
        request = promises_pb2.EraseRequest(
            account=f"accounts/{wanted.account}", erasure=f"erasures/{wanted.erasure}"
        )
        request.delete_time.FromDatetime(wanted.deleted_at)
        try:
            return await self._stubs[holder].Erase(request, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error

    async def verify(self, holder: str, account: UUID, erasure: UUID) -> promises_pb2.Findings:
        """What a holder finds. Raises a Refusal if it does not answer."""
        request = promises_pb2.VerifyRequest(account=f"accounts/{account}", erasure=f"erasures/{erasure}")
        try:
            return await self._stubs[holder].Verify(request, timeout=LOOKING)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error

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
