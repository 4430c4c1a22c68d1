"""What billing does when others announce something."""

from __future__ import annotations

import logging
from uuid import UUID

from crafiq.generation.v1 import events_pb2 as generation
from crafiq.identity.v1 import events_pb2 as identity
from crafiq.promises.v1.promises_pb2 import RETAINED_UNTIL
from prometheus_client import Counter

from chassis.consumers import Subscription
from chassis.db import Transaction
from chassis.events import account_of
from promises import subjects
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.billing.domain import BOOKS_GROUND, Gift, HoldState, HoldUnknown, id_of, kept_until
from services.billing.repository import Books, Ledger

log = logging.getLogger(__name__)
CAPPED = Counter("crafiq_billing_capped_captures", "Deliveries that cost more than was held.")
UNPAID = Counter("crafiq_billing_unpaid_deliveries", "Deliveries whose hold had been given back.")


class Consumers:
    """Opens wallets, with a `welcome` in them, and settles holds."""

    def __init__(self, ledger: Ledger, welcome: Gift) -> None:
        self._ledger, self._welcome = ledger, welcome

    def subscriptions(self) -> list[Subscription]:
        """Who is listened to."""
        return [
            Subscription("identity", identity.AccountVerified, self.on_account_verified),
            Subscription("generation", generation.GenerationSucceeded, self.on_generation_succeeded),
            Subscription("generation", generation.GenerationFailed, self.on_generation_ended),
            Subscription("generation", generation.GenerationCancelled, self.on_generation_ended),
        ]

    async def on_account_verified(self, tx: Transaction, event: identity.AccountVerified) -> None:
        """Open the wallet with the first credits, once; without, for who had an account a while ago."""
        account = account_of(event)
        if await subjects.begin(tx, account):
            await self._ledger.open(tx, account, Gift(0) if event.returning else self._welcome)

    async def on_generation_succeeded(self, tx: Transaction, event: generation.GenerationSucceeded) -> None:
        """Capture the price of what was delivered, never more than was held, and release the rest.

        A price above the hold is our mistake and our loss: the person agreed to the quote.
        Raises HoldUnknown if nothing was ever held: a dead letter, for somebody to look at.
        """
        generation_id = id_of(event.generation, "generations", "generation")
        hold = await self._ledger.settle(generation_id, event.credits, tx)
        if hold is None:
            return await self._ended_before(tx, event)
        if event.credits > hold.credits:
            CAPPED.inc()
            log.warning("%s costs %d, %d were held", event.generation, event.credits, hold.credits)
        return None

    async def on_generation_ended(
        self, tx: Transaction, event: generation.GenerationFailed | generation.GenerationCancelled
    ) -> None:
        """Give everything back. A job that was captured before stays so: delivered is delivered."""
        await self._ledger.release(id_of(event.generation, "generations", "generation"), tx)

    async def _ended_before(self, tx: Transaction, event: generation.GenerationSucceeded) -> None:
        generation_id = id_of(event.generation, "generations", "generation")
        hold = await self._ledger.hold(generation_id, tx)
        if hold is None:
            raise HoldUnknown(generation=generation_id)
        if hold.state is HoldState.RELEASED and event.credits > 0:
            UNPAID.inc()
            log.warning("%s delivered after its hold was given back", event.generation)


class Records(Beyond):
    """The book of a person whose wallet goes: nobody's from then on, and kept as long as the law demands."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def note(self, tx: Transaction, wanted: Wanted, _pseudonym: UUID) -> bool:
        """Say when the book ends, while it is known whose it is."""
        await self._books.close(tx, wanted.account, wanted.deleted_at)
        return False

    async def found(self, account: UUID, erasure: UUID | None) -> list[Share]:
        """How many records there are, as long as anything says whose they are."""
        if erasure is not None:
            return []
        until = kept_until(self._books.now)
        return [Share("PAYMENT", RETAINED_UNTIL, await self._books.size(account), BOOKS_GROUND, until)]
