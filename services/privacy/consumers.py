"""What privacy does when others announce something."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from uuid import UUID

from crafiq.identity.v1 import events_pb2 as identity

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.events import account_of
from promises import subjects
from services.privacy.domain import Acceptance, DocumentKind, Manner, PairUnknown
from services.privacy.repository import Acceptances, Documents


class Consumers:
    """Keeps what was accepted at sign-up."""

    def __init__(self, documents: Documents, acceptances: Acceptances, new_id: Callable[[], UUID]) -> None:
        self._documents, self._acceptances, self._new_id = documents, acceptances, new_id

    def subscriptions(self) -> list[Subscription]:
        """Who is listened to."""
        return [Subscription("identity", identity.AccountVerified, self.on_account_verified)]

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
