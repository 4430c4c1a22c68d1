"""Copies with vendors: purged where a vendor lets us, waited for where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from crafiq.promises.v1.promises_pb2 import RETAINED_UNTIL

from chassis.db import Transaction
from chassis.errors import Unavailable
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.generation.domain import Route, VendorCopy
from services.generation.repository import Copies, cancel_all

BATCH = 100
FIRST = UUID(int=0)
PURGED_KEPT = timedelta(days=30)
GROUND = "according to their own terms and privacy policies"
"""The policy's words on why a vendor keeps what it was sent."""


class VendorCopies(Beyond):
    """What vendors have of a person; and that nothing is made for them any more."""

    reads = ("jobs", "egress")

    def __init__(self, copies: Copies, routes: Mapping[str, Route]) -> None:
        self._copies, self._routes = copies, routes

    async def note(self, tx: Transaction, wanted: Wanted, _pseudonym: UUID) -> bool:
        """End jobs under way, so that holds are given back; mark copies while it is known whose they are."""
        await cancel_all(tx, wanted.account)
        await self._copies.unwanted_of(tx, wanted.account, wanted.erasure)
        return bool(await self._copies.unwanted(FIRST, 1, wanted.erasure, tx))

    async def remove(self, wanted: Wanted) -> None:
        """Have them purged. Raises Unavailable for a vendor that can't be asked now."""
        await self._purge(wanted.erasure)

    async def found(self, account: UUID, erasure: UUID | None) -> Sequence[Share]:
        """What is still there, with whom, until when."""
        return [
            Share("CONTENT", RETAINED_UNTIL, each.count, GROUND, each.until, f"vendors/{each.vendor}")
            for each in await self._copies.left(account, erasure)
        ]

    async def sweep(self) -> None:
        """Purge what somebody deleted and no erasure waits for; forget what has ended."""
        while await self._copies.close(self._copies.db.clock.now() - PURGED_KEPT):
            pass
        await self._purge()

    async def _purge(self, erasure: UUID | None = None) -> None:
        """Ask for each, whatever became of the one before; in the end raises Unavailable if one was not."""
        after, trouble = FIRST, None
        while copies := await self._copies.unwanted(after, BATCH, erasure):
            after, gone = copies[-1].id, []
            for copy in copies:
                try:
                    if await self._is_gone(copy):
                        gone.append(copy.id)
                except Unavailable as refusal:
                    trouble = refusal
            if gone:
                await self._copies.purged(gone)
        if trouble is not None:
            raise trouble

    async def _is_gone(self, copy: VendorCopy) -> bool:
        route = self._routes.get(copy.vendor)
        return route is not None and await route.vendor.purge(copy.reference)
