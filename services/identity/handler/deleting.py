"""The end of an account: approved by privacy, then one transaction."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from uuid import UUID

from crafiq.identity.v1 import identity_pb2

from chassis.db import Contended
from chassis.errors import Refusal, Unavailable
from chassis.rpc import Call
from promises.erasing import Wanted
from promises.subjects import tombstoned
from services.identity.domain.refusals import ReauthenticationNeeded, SessionEnded
from services.identity.domain.remembered import Farewell
from services.identity.handler import cookies
from services.identity.handler.kit import Kit, signed_in
from services.identity.repository import accounts, remembered

# An approval that is older is voided by privacy, so that nothing may come of it any more.
APPROVED_FOR = timedelta(seconds=20)
COLLISIONS = 10


class Deleting:
    """DeleteAccount."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    async def DeleteAccount(
        self, request: identity_pb2.DeleteAccountRequest, call: Call
    ) -> identity_pb2.DeleteAccountResponse:
        """From the answer on there is no account; what others hold follows within seconds."""
        await signed_in(self.kit, self.kit.db, call)
        if not self.kit.keys.proves(request.reauth_token, call.account, call.caller.session):
            raise ReauthenticationNeeded
        async with self.kit.erasures.turn():  # whoever waits has not begun
            plans, own = await asyncio.gather(
                self.kit.erasures.plans(call.account), self.kit.promises.holdings.plan(call.account)
            )
            approved_at = await self.kit.erasures.approve(call.account, request, [own, *plans])
            wanted = Wanted(call.account, UUID(request.request_id), approved_at)
            await self._delete(wanted, call)
        self.kit.revocations.add_account(call.account, self.kit.clock.now() + timedelta(minutes=6))
        self.kit.post()
        cookies.clear_session(call)
        cookies.set_receipt(call, request.request_id, request.receipt_secret)
        return identity_pb2.DeleteAccountResponse(erasure=f"erasures/{request.request_id}")

    async def _delete(self, wanted: Wanted, call: Call) -> None:
        """Raises SessionEnded if somebody else was faster, or Contended, having taken the approval back.

        After any other fault nobody knows whether it was committed: privacy asks a minute later.
        """
        for collision in range(COLLISIONS):
            try:
                return await self._transaction(wanted, call)
            except Contended:
                await asyncio.sleep(random.uniform(0, 0.01 * (collision + 1)))  # noqa: S311  # no secret
            except Unavailable:
                raise
            except Refusal:
                if await tombstoned(self.kit.db, wanted.account):
                    return None  # the ledger was faster: it is what was asked for
                await self.kit.erasures.void(wanted)
                raise
        await self.kit.erasures.void(wanted)
        raise Contended

    async def _transaction(self, wanted: Wanted, call: Call) -> None:
        async with self.kit.db.transaction() as tx:
            account = await accounts.locked_for_good(tx, wanted.account)
            await signed_in(self.kit, tx, call)
            if account is None:
                raise SessionEnded
            if self.kit.clock.now() > wanted.deleted_at + APPROVED_FOR:
                raise Contended  # approved anew by whoever asks again
            await self.kit.promises.eraser.erase(tx, wanted)
            await remembered.part(tx, Farewell.to(account.email, self.kit.new_id(), wanted.deleted_at))
