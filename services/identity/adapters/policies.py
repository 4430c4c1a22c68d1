"""Which policy and terms are in force: asked of privacy, kept for half a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

import grpc.aio
from crafiq.privacy.v1 import privacy_pb2, privacy_pb2_grpc

from chassis.clock import Clock
from chassis.errors import Unavailable
from chassis.rpc import refusal_from
from services.identity.domain.accounts import AcceptedVersions

FRESH = timedelta(seconds=30)


class Policies:
    """The pair in force. If privacy does not answer, the last pair known is taken, however old:
    nobody's sign-up should fail because a version is half a minute late."""

    def __init__(self, privacy: grpc.aio.Channel, clock: Clock) -> None:
        self._privacy = privacy_pb2_grpc.PrivacyServiceStub(privacy)
        self._clock = clock
        self._known: tuple[AcceptedVersions, datetime] | None = None

    async def current(self, timeout: float) -> AcceptedVersions:
        """The pair in force, within `timeout` seconds; raises Unavailable if none was ever known."""
        if self._known and self._clock.now() < self._known[1] + FRESH:
            return self._known[0]
        try:
            policy = await self._privacy.GetPolicy(privacy_pb2.GetPolicyRequest(), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if self._known is None:
                raise Unavailable(retry_after=timedelta(seconds=2)) from refusal_from(error)
            return self._known[0]
        pair = AcceptedVersions(policy.policy_version, policy.terms_version)
        self._known = (pair, self._clock.now())
        return pair
