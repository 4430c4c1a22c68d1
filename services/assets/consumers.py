"""What assets does when others announce something."""

from __future__ import annotations

import asyncio
from uuid import UUID

from crafiq.identity.v1 import events_pb2 as identity
from crafiq.privacy.v1 import events_pb2 as privacy
from crafiq.privacy.v1 import privacy_pb2
from crafiq.promises.v1.promises_pb2 import ERASED_NOW

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.errors import Unavailable
from chassis.events import account_of
from promises import subjects
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.assets.adapters.storage import Storage
from services.assets.repository import Library, training


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


class BeingWritten(Unavailable):
    """Bytes of somebody who was erased are under way to storage, or were when their writer died."""

    sentence = "Somebody is still writing; what they write is removed."


class Objects(Beyond):
    """The bytes of a person, in the library and in quarantine; what is public stays."""

    def __init__(self, library: Library, storage: Storage) -> None:
        self._library, self._storage = library, storage

    async def remove(self, wanted: Wanted) -> None:
        """Remove what storage finds on their shelf, whatever rows said.

        Raises StorageUnavailable, and BeingWritten as long as somebody may still put something there.
        """
        await self._storage.remove(await self._storage.shelved(wanted.account))
        await self._storage.discard(await self._storage.quarantined(wanted.account))
        await self._library.forget_shelf(wanted.account)
        if await self._library.being_written(wanted.account):
            raise BeingWritten

    async def found(self, account: UUID, erasure: UUID | None) -> list[Share]:
        """What storage finds there, and, after an erasure, what may come to be there."""
        shelved, quarantined = await asyncio.gather(
            self._storage.shelved(account), self._storage.quarantined(account)
        )
        written = await self._library.being_written(account) if erasure else 0
        return [Share("MEDIA", ERASED_NOW, len(shelved) + len(quarantined) + written)]
