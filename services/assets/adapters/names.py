"""The user names that stand beside public works: asked of identity, remembered for half a minute."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import grpc.aio
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc

from chassis.clock import Clock

LOG = logging.getLogger("crafiq.assets")
REMEMBERED = timedelta(seconds=30)
"""A name that was given up is shown no longer than this."""
MOST = 10_000
ASKED_AT_ONCE = 200
PATIENCE = 1.0  # seconds; a work without a name is better than none


class Names:
    """User names of accounts. Should identity not answer, works are shown without."""

    def __init__(self, identity: grpc.aio.Channel, clock: Clock) -> None:
        self._identity, self._clock = identity_pb2_grpc.IdentityServiceStub(identity), clock
        self._known: dict[UUID, tuple[datetime, str]] = {}

    async def of(self, accounts: Iterable[UUID]) -> dict[UUID, str]:
        """The names of those that have one; at most 200 accounts."""
        asked, now = set(accounts), self._clock.now()
        unknown = [each for each in asked if each not in self._known or self._known[each][0] <= now]
        if unknown:
            await self._ask(unknown[:ASKED_AT_ONCE], now + REMEMBERED)
        found = ((each, self._known.get(each)) for each in asked)
        return {each: known[1] for each, known in found if known and known[0] > now and known[1]}

    async def _ask(self, accounts: list[UUID], until: datetime) -> None:
        names = [f"accounts/{account}" for account in accounts]
        request = identity_pb2.BatchGetPublicProfilesRequest(accounts=names)
        try:
            answer = await self._identity.BatchGetPublicProfiles(request, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            LOG.warning("public works are shown without names: %s", error.code().name)
            return
        if len(self._known) + len(accounts) > MOST:
            self._known.clear()
        found = {profile.account: profile.username for profile in answer.profiles}
        self._known.update({a: (until, found.get(f"accounts/{a}", "")) for a in accounts})
