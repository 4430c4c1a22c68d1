"""What identity does when others announce something, and when somebody is erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from uuid import UUID

from crafiq.assets.v1 import events_pb2 as assets
from crafiq.identity.v1 import events_pb2
from crafiq.promises.v1.promises_pb2 import RETAINED_UNTIL

from chassis.consumers import Subscription
from chassis.db import Database, Transaction
from chassis.events import account_of
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.identity.adapters.peppers import Peppers
from services.identity.domain.accounts import Account
from services.identity.domain.letters import MailKind, Occasion
from services.identity.domain.mails import Mail
from services.identity.domain.remembered import NameKind, RetainedName, keyed_hash
from services.identity.domain.rows import FAREWELL, FRAUD
from services.identity.repository import accounts, remembered


class Consumers:
    """The events that identity listens to; `post` wakes the postman."""

    def __init__(self, post: Callable[[], None]) -> None:
        self._post = post

    def subscriptions(self) -> list[Subscription]:
        """Who says what, and what follows."""
        return [Subscription("assets", assets.RemovalScheduled, self.on_removal_scheduled)]

    async def on_removal_scheduled(self, tx: Transaction, event: assets.RemovalScheduled) -> None:
        """Tell the owner by mail. The mail bears the notice's id, so that its sending can be announced."""
        account = await accounts.find(tx, account_of(event))
        if account is None or not await tx.claim(event.notice):
            return  # deleted meanwhile, and the files with it; or told before
        begins = event.remove_time.ToDatetime(tzinfo=UTC)
        occasion = Occasion(tx.clock.now(), "", begins, files=event.count)
        notice, kind = UUID(event.notice.rpartition("/")[2]), MailKind.REMOVAL_SCHEDULED
        await tx.insert(Mail.about(kind, notice, account.account, account.email, occasion))
        tx.after.append(self._post)


class Remembering(Beyond):
    """What identity keeps when somebody goes: keyed hashes of address and user name; and the news of it."""

    def __init__(self, db: Database, peppers: Peppers) -> None:
        self._db, self._peppers = db, peppers

    async def note(self, tx: Transaction, wanted: Wanted, pseudonym: UUID) -> bool:
        """Hash the names with the month's pepper, while they are there; announce the deletion."""
        account = await accounts.find(tx, wanted.account)
        if account is not None:
            await self._note(tx, wanted, pseudonym, account)
        return False

    async def _note(self, tx: Transaction, wanted: Wanted, pseudonym: UUID, account: Account) -> None:
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
