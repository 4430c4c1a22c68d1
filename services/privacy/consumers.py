"""What privacy does when others announce something."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any
from uuid import UUID

from crafiq.assets.v1 import events_pb2 as assets
from crafiq.billing.v1 import events_pb2 as billing
from crafiq.generation.v1 import events_pb2 as generation
from crafiq.identity.v1 import events_pb2 as identity
from crafiq.privacy.v1 import events_pb2 as privacy
from crafiq.promises.v1 import promises_pb2

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.events import account_of
from promises import subjects
from promises.erasing import Beyond, Wanted
from promises.retention import TOMBSTONES
from promises.shares import Share
from services.privacy.domain import Acceptance, DocumentKind, Manner, PairUnknown
from services.privacy.domain.plans import TOMBSTONE_GROUND
from services.privacy.repository import Acceptances, Documents, Erasures

ERASED = {
    "identity": identity.AccountErased,
    "assets": assets.AccountErased,
    "generation": generation.AccountErased,
    "billing": billing.AccountErased,
}
"""What each other holder says when it has erased somebody."""
OWN = "privacy"


class Consumers:
    """Keeps what was accepted at sign-up; notes who has erased. `hear` is told of news of an erasure."""

    def __init__(
        self,
        documents: Documents,
        acceptances: Acceptances,
        new_id: Callable[[], UUID],
        hear: Callable[[UUID, UUID, str], None],
    ) -> None:
        self._documents, self._acceptances, self._new_id = documents, acceptances, new_id
        self._hear = hear

    def subscriptions(self) -> list[Subscription]:
        """Who is listened to."""
        return [
            Subscription("identity", identity.AccountVerified, self.on_account_verified),
            *(Subscription(of, event, self.on_account_erased, harmless=True) for of, event in ERASED.items()),
            Subscription(OWN, privacy.AccountErased),  # no more: it is known where it happens
        ]

    async def on_account_erased(self, _tx: Transaction, event: Any) -> None:
        """A holder says that it is done: look into it."""
        erasure, holder = UUID(event.erasure.rpartition("/")[2]), event.DESCRIPTOR.full_name.split(".")[1]
        self._hear(erasure, account_of(event), holder)

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """Note the pair that was accepted, with the hashes of both texts, once.

        Raises PairUnknown if one of them was never posted: nobody could show what was agreed to.
        """
        account = account_of(event)
        if not await subjects.begin(tx, account):
            return
        posted = {(p.kind, p.version): p for p in await self._documents.all(tx)}
        policy = posted.get((DocumentKind.POLICY, event.policy_version))
        terms = posted.get((DocumentKind.TERMS, event.terms_version))
        if policy is None or terms is None:
            raise PairUnknown(policy=event.policy_version, terms=event.terms_version)
        acceptance = Acceptance(
            id=self._new_id(),
            account=account,
            policy_version=policy.version,
            terms_version=terms.version,
            policy_sha256=policy.sha256,
            terms_sha256=terms.sha256,
            accepted_at=event.accepted_at.ToDatetime(tzinfo=UTC),
            manner=Manner.SIGN_UP,
        )
        await self._acceptances.add(tx, acceptance)


class Opening(Beyond):
    """What happens in privacy besides its rows' going: the case begins, and is told of the first answer."""

    def __init__(
        self, erasures: Erasures, holders: list[str], hear: Callable[[UUID, UUID, str], None]
    ) -> None:
        self._erasures, self._holders, self._hear = erasures, holders, hear

    async def note(self, tx: Transaction, wanted: Wanted, _pseudonym: UUID) -> bool:
        """The account is gone. A case that this database lost in a restore is opened again."""
        await self._erasures.begin(tx, wanted, self._holders)
        tx.after.append(lambda: self._hear(wanted.erasure, wanted.account, OWN))
        return False

    async def found(self, _account: UUID, erasure: UUID | None) -> list[Share]:
        """The tombstones, of which the plan has to speak."""
        if erasure is not None:
            return []
        until = self._erasures.db.clock.now() + TOMBSTONES
        return [Share("ACCOUNT", promises_pb2.RETAINED_UNTIL, 1, TOMBSTONE_GROUND, until)]
