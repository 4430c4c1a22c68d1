"""What assets does when others announce something."""

from __future__ import annotations

from crafiq.identity.v1 import events_pb2 as identity
from crafiq.privacy.v1 import events_pb2 as privacy
from crafiq.privacy.v1 import privacy_pb2

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.events import account_of
from promises import subjects
from services.assets.repository import training


class Consumers:
    """The subscriptions of this service."""

    def subscriptions(self) -> list[Subscription]:
        """Who says what, and what follows."""
        return [
            Subscription("identity", identity.AccountVerified, self.on_account_verified),
            Subscription("privacy", privacy.ConsentChanged, self.on_consent_changed),
        ]

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """The account lives from now on: it may have a library."""
        await subjects.begin(tx, account_of(event))

    async def on_consent_changed(self, tx: Transaction, event: privacy.ConsentChanged) -> None:
        """Who objects to training takes all works that are theirs out of it, at once."""
        if event.kind == privacy_pb2.PUBLIC_OUTPUT_TRAINING:
            await training.decided(tx, account_of(event), event.change, objects=not event.granted)
