"""What identity does when somebody is erased; it listens to nobody, for nobody announces what it needs."""

from __future__ import annotations

from uuid import UUID

from crafiq.identity.v1 import events_pb2
from crafiq.promises.v1.promises_pb2 import RETAINED_UNTIL

from chassis.consumers import Subscription
from chassis.db import Database, Transaction
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.identity.adapters.peppers import Peppers
from services.identity.domain.remembered import NameKind, RetainedName, keyed_hash
from services.identity.domain.rows import FAREWELL, FRAUD
from services.identity.repository import accounts, remembered


class Consumers:
    """The events that identity listens to."""

    def subscriptions(self) -> list[Subscription]:
        """None so far."""
        return []


class Remembering(Beyond):
    """What identity keeps when somebody goes: keyed hashes of address and user name; and the news of it."""

    def __init__(self, db: Database, peppers: Peppers) -> None:
        self._db, self._peppers = db, peppers

    async def note(self, tx: Transaction, wanted: Wanted, pseudonym: UUID) -> None:
        """Hash the names with the month's pepper, while they are there; announce the deletion."""
        account = await accounts.find(tx, wanted.account)
        if account is None:
            return
        pepper = self._peppers.of(wanted.deleted_at)
        names = {NameKind.ADDRESS: account.email, NameKind.USERNAME: account.username}
        for kind, name in names.items():
            if name and pepper:  # a backup may be older than the pepper: then there is nothing to keep
                keyed = keyed_hash(pepper, kind, name)
                await remembered.remember(tx, RetainedName.of(tx.new_id(), pseudonym, kind, keyed, wanted))
        event = events_pb2.AccountDeleted(account=account.name, erasure=f"erasures/{wanted.erasure}")
        event.delete_time.FromDatetime(wanted.deleted_at)
        tx.emit(event)

    async def found(self, account: UUID, erasure: UUID | None) -> list[Share]:
        """What of this a plan has to speak of."""
        known = None if erasure else await accounts.find(self._db, account)
        if known is None:
            return []
        now = self._db.clock.now()
        return [
            Share("EMAIL", RETAINED_UNTIL, 1, FRAUD.rule, FRAUD.ends(now)),
            Share("NAME", RETAINED_UNTIL, 1 if known.username else 0, FRAUD.rule, FRAUD.ends(now)),
            Share("EMAIL", RETAINED_UNTIL, 1, FAREWELL.rule, FAREWELL.ends(now)),
        ]
