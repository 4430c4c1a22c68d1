"""What assets does when others announce something."""

from __future__ import annotations

import asyncio
from datetime import UTC
from uuid import UUID

from crafiq.generation.v1 import events_pb2 as generation
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
from services.assets.repository import Library, countdowns, library, training


class Consumers:
    """The subscriptions of this service."""

    def subscriptions(self) -> list[Subscription]:
        """Who says what, and what follows."""
        return [
            Subscription("identity", identity.AccountVerified, self.on_account_verified),
            Subscription("privacy", privacy.ConsentChanged, self.on_consent_changed),
            Subscription("identity", identity.NoticeSent, self.on_notice_sent),
            Subscription("generation", generation.GenerationDeleted, self.on_generation_deleted),
        ]

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """The account lives from now on: it may have a library."""
        await subjects.begin(tx, account_of(event))

    async def on_consent_changed(self, tx: Transaction, event: privacy.ConsentChanged) -> None:
        """Who objects to training takes all works that are theirs out of it, at once."""
        if event.kind == privacy_pb2.PUBLIC_OUTPUT_TRAINING:
            await training.decided(tx, account_of(event), event.change, objects=not event.granted)

    async def on_notice_sent(self, tx: Transaction, event: identity.NoticeSent) -> None:
        """Somebody was told that assets of theirs are going to be removed: now their time runs."""
        notice, sent_at = UUID(event.notice.rpartition("/")[2]), event.send_time.ToDatetime(tzinfo=UTC)
        await countdowns.heard(tx, account_of(event), notice, sent_at)

    async def on_generation_deleted(self, tx: Transaction, event: generation.GenerationDeleted) -> None:
        """Its Outputs name it no more."""
        await library.forget_generation(tx, account_of(event), UUID(event.generation.rpartition("/")[2]))


class BeingWritten(Unavailable):
    """Bytes of somebody who was erased are under way to storage, or were when their writer died."""

    sentence = "Somebody is still writing; what they write is removed."


class Objects(Beyond):
    """The bytes of a person, in the library and in quarantine; what is public stays."""

    def __init__(self, library: Library, storage: Storage) -> None:
        self._library, self._storage = library, storage

    async def note(self, _tx: Transaction, _wanted: Wanted, _pseudonym: UUID) -> bool:
        """Only storage knows what it has."""
        return True

    async def remove(self, wanted: Wanted) -> None:
        """Remove what storage finds on their shelf, whatever rows said.

        Raises StorageUnavailable, and BeingWritten as long as somebody may still put something there.
        """
        shelved, quarantined = await self._lying(wanted.account)
        await self._storage.remove(shelved)
        await self._storage.discard(quarantined)
        if await self._library.forget_shelf(wanted.account):
            raise BeingWritten

    async def found(self, account: UUID, erasure: UUID | None) -> list[Share]:
        """What rows say there is; of an erasure, what storage finds there and what may come to be there."""
        if erasure is None:
            return [Share("MEDIA", ERASED_NOW, await self._library.held(account))]
        shelved, quarantined = await self._lying(account)
        written = await self._library.being_written(account)
        return [Share("MEDIA", ERASED_NOW, len(shelved) + len(quarantined) + written)]

    async def _lying(self, account: UUID) -> tuple[list[UUID], list[UUID]]:
        """What storage has, in the library and in quarantine."""
        return await asyncio.gather(self._storage.shelved(account), self._storage.quarantined(account))
