"""What assets does when others announce something."""

from __future__ import annotations

from uuid import UUID

from crafiq.identity.v1 import events_pb2 as identity

from chassis.consumers import Subscription
from chassis.db import Transaction
from promises import subjects


class Consumers:
    """The subscriptions of this service."""

    def subscriptions(self) -> list[Subscription]:
        """Who says what, and what follows."""
        return [Subscription("identity", identity.AccountVerified, self.on_account_verified)]

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """The account lives from now on: it may have a library."""
        await subjects.begin(tx, UUID(event.account.removeprefix("accounts/")))
