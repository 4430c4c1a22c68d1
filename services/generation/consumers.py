"""What generation does when others announce something."""

from __future__ import annotations

from crafiq.assets.v1 import events_pb2 as assets
from crafiq.identity.v1 import events_pb2 as identity

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.events import account_of
from promises import subjects
from services.generation.domain import generation_id
from services.generation.repository import references


class Consumers:
    """The subscriptions of this service."""

    def subscriptions(self) -> list[Subscription]:
        """Who says what, and what follows."""
        return [
            Subscription("identity", identity.AccountVerified, self.on_account_verified),
            Subscription("assets", assets.AssetDeleted, self.on_asset_deleted),
        ]

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """The account lives from now on: it may own jobs."""
        await subjects.begin(tx, account_of(event))

    async def on_asset_deleted(self, tx: Transaction, event: assets.AssetDeleted) -> None:
        """Jobs name it no more, and vendors are to have no copy of it."""
        made_by = generation_id(event.generation) if event.generation else None
        await references.forget(tx, account_of(event), event.asset, made_by)
