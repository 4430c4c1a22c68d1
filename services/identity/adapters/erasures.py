"""Who is asked when somebody wants to be deleted: every holder what it would do, privacy for its word."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import grpc.aio
from crafiq.identity.v1 import identity_pb2
from crafiq.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from chassis.rpc import refusal_from
from promises.erasing import Wanted

LOG = logging.getLogger("crafiq.identity.erasures")
PATIENCE = 1.5  # seconds for all holders, who are asked at once; one that is silent blocks nothing
WRITING = 6.0  # seconds for privacy to write the tombstone
TURN = 0.1
"""Seconds until the next deletion begins although this one is not through: it waits for somebody slow."""
REST = 0.046
"""Seconds from one deletion to the next, at least: of a crowd's time, some is others'."""


class Erasures:
    """Privacy and the other holders; `channels` by name."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        self._holders = [promises_pb2_grpc.DataHolderStub(channel) for channel in channels.values()]
        self._turns = asyncio.Semaphore(1)
        self._privacy = privacy_pb2_grpc.PrivacyServiceStub(channels["privacy"])

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One deletion after the other: each asks all services, and a crowd would take everybody's time."""
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        begun, over = loop.time(), loop.call_later(TURN, self._turns.release)
        ends = begun  # for whoever is refused
        try:
            yield
            ends += REST
        finally:
            if loop.time() < over.when():
                over.cancel()
                loop.call_at(ends, self._turns.release)

    async def plans(self, account: UUID) -> list[promises_pb2.Plan]:
        """What deleting would do now, of those who answer in time."""
        request = promises_pb2.PreviewRequest(account=f"accounts/{account}")
        answers = await asyncio.gather(
            *(holder.Preview(request, timeout=PATIENCE) for holder in self._holders), return_exceptions=True
        )
        return [answer for answer in answers if isinstance(answer, promises_pb2.Plan)]

    async def approve(
        self, account: UUID, wish: identity_pb2.DeleteAccountRequest, plans: list[promises_pb2.Plan]
    ) -> datetime:
        """Have the wish written down; answers when. Raises what privacy refuses with."""
        request = privacy_pb2.ApproveErasureRequest(
            account=f"accounts/{account}",
            erasure=f"erasures/{wish.request_id}",
            plan_hash=wish.plan_hash,
            receipt_secret_hash=hashlib.sha256(wish.receipt_secret.encode()).digest(),
            plans=plans,
        )
        try:
            answer = await self._privacy.ApproveErasure(request, timeout=WRITING)
        except grpc.aio.AioRpcError as error:
            raise refusal_from(error) from error
        approved: datetime = answer.approve_time.ToDatetime(tzinfo=UTC)
        return approved

    async def void(self, wanted: Wanted) -> None:
        """Take it back, if privacy answers; else it finds out by itself that the account lives."""
        request = privacy_pb2.VoidErasureRequest(erasure=f"erasures/{wanted.erasure}")
        request.approve_time.FromDatetime(wanted.deleted_at)
        try:
            await self._privacy.VoidErasure(request, timeout=WRITING)
        except grpc.aio.AioRpcError as error:
            LOG.warning("%s could not be voided: %s", request.erasure, error.code().name)
