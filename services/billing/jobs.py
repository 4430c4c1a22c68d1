"""What billing does when time passes, and at Stripe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from crafiq.promises.v1.promises_pb2 import ERASED_NOW
from prometheus_client import Counter

from chassis.db import Transaction
from chassis.errors import Refusal, SubjectUnknown
from chassis.retry import reading
from promises.erasing import Beyond, Wanted
from promises.shares import Share
from services.billing.adapters.jobs import Jobs
from services.billing.adapters.stripe import Stripe
from services.billing.domain import (
    Closing,
    ClosingState,
    Notice,
    Outcome,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
)
from services.billing.repository import Customers, Ledger

log = logging.getLogger(__name__)
STALE = Counter("crafiq_billing_stale_holds", "Holds past their time, by what generation says.", ["outcome"])
NO_ANSWER, UNDER_WAY, UNHEARD = (STALE.labels(said) for said in ("no answer", "under way", "ended unheard"))
HEARD = Counter("crafiq_billing_notices", "What Stripe said by itself, by whom it was about.", ["about"])
SOMEBODY, CLOSED, NOBODY = (HEARD.labels(whom) for whom in ("somebody", "somebody who left", "nobody here"))
ASK_AGAIN = timedelta(hours=1)
MAKING_SECONDS = 15.0
LOOKING_SECONDS = 1.5
"""How long a preview waits for Stripe: whoever asks for all previews waits two."""
HEEDING_SECONDS = 8.0
"""How long Stripe may take to say how things stand: the gateway waits ten."""


class Expiry:
    """Books what is left of lots whose time is over. The balance goes by the clock anyway."""

    def __init__(self, ledger: Ledger, batch: int = 200) -> None:
        self._ledger, self._batch = ledger, batch

    async def run(self) -> int:
        """Book until nothing is left to book; answers how many lots there were."""
        total = 0
        while booked := await self._ledger.expire(self._batch):
            total += booked
        return total


class StaleHolds:
    """Ends holds whose time is over as their job ended, after asking generation.

    The news of a job's end may have been lost (a dead letter, a stream that aged out): a person's credits
    must not stay set aside for that. A job that is still under way keeps its hold and is asked about
    again an hour later.
    """

    def __init__(self, ledger: Ledger, jobs: Jobs, batch: int = 100) -> None:
        self._ledger, self._jobs, self._batch = ledger, jobs, batch

    async def run(self) -> int:
        """Ask about each; answers how many there were. If generation does not answer, the next run asks."""
        asked = 0
        while stale := await self._ledger.stale(self._batch):
            for generation in stale:
                try:
                    outcome = await self._jobs.outcome(generation)
                except Refusal as refusal:
                    NO_ANSWER.inc()
                    log.warning("generation does not say what became of its jobs: %s", refusal.reason)
                    return asked
                await self._end(generation, outcome)
                asked += 1
        return asked

    async def _end(self, generation: UUID, outcome: Outcome) -> None:
        if not outcome.ended:
            UNDER_WAY.inc()
            await self._ledger.postpone(generation, ASK_AGAIN)
        elif await self._ledger.settle(generation, outcome.price):
            UNHEARD.inc()
            log.info("generations/%s ended unheard: %d credits captured", generation, outcome.price)


class Payments(Beyond):
    """Customers at Stripe: made when somebody pays, looked up when it says so, closed when erased."""

    def __init__(self, customers: Customers, stripe: Stripe, batch: int = 20) -> None:
        self._customers, self._stripe, self._batch = customers, stripe, batch

    async def customer_for(self, account: UUID) -> str:
        """Who somebody is at Stripe; made now if they are nobody there. Twice at once, it is one.

        Raises SubjectUnknown, CustomerClosing, StripeUnavailable, StripeFailed, StripeRefused; whatever was
        made at Stripe and did not become theirs is closed, also if this process dies.
        """
        if await self._customers.of(account) is None:
            await self._make(account)
        customer = await self._customers.of(account)
        if customer is None:
            raise SubjectUnknown(account)
        return customer

    async def heed(self, notice: Notice) -> None:
        """Something changed at Stripe: have here what it says now. Twice, late and out of order is the same.

        What concerns who left is written where nothing is personal, also if they leave at this very moment.
        Raises StripeUnavailable, StripeFailed, Unavailable, Contended: then Stripe says it again, for days.
        """
        try:
            async with asyncio.timeout(HEEDING_SECONDS):
                (await self._heeded(notice)).inc()
        except StripeRefused as refusal:
            log.warning("Stripe told us something and does not say how it stands: %s", refusal)
            raise StripeUnavailable from refusal

    async def _heeded(self, notice: Notice) -> Counter:
        if await self._customers.whose(notice.customer) is not None and await self._kept(notice):
            return SOMEBODY
        closing = await self._customers.of_nobody(notice.customer)
        if closing is None:
            return NOBODY
        if any(share.count for share in await self._left(closing)):
            await self._customers.reopen(notice.customer)
        else:
            await self._customers.closed(closing)
        return CLOSED

    async def _kept(self, notice: Notice) -> bool:
        """Of somebody's customer: whether it still is one when what Stripe says is written down."""
        if notice.subscription is None:
            deleted = await self._stripe.deleted(notice.customer)
            return not deleted or await reading(partial(self._customers.lose, notice.customer), within=5)
        asked_at = self._customers.now
        found = await self._stripe.subscription(notice.subscription)
        return await reading(partial(self._customers.mirror, found, asked_at), within=5)

    async def note(self, tx: Transaction, wanted: Wanted, _pseudonym: UUID) -> bool:
        """Keep who they are at Stripe, while it is known whose it is."""
        await self._customers.note(tx, wanted.account, wanted.erasure)
        return await self._customers.of_erasure(wanted.erasure, tx) is not None

    async def remove(self, wanted: Wanted) -> None:
        """Cancel and delete there. Raises what stands in the way."""
        closing = await self._customers.of_erasure(wanted.erasure)
        if closing is None:
            return
        try:
            await self._close(closing)
        except Refusal as refusal:
            await self._customers.failed(closing, refusal.reason)
            raise

    async def found(self, account: UUID, erasure: UUID | None) -> Sequence[Share]:
        """The customer, and what is subscribed, as Stripe has them now."""
        if erasure is not None:
            closing = await self._customers.of_erasure(erasure)
            return [] if closing is None else await self._left(closing)
        customer = await self._customers.of(account)
        if customer is None:
            return []
        return [_share(1), _share(await self._subscribed(customer))]

    async def sweep(self) -> None:
        """Close what no erasure waits for; forget what was closed a while ago."""
        await self._customers.give_up_old()
        for closing in await self._customers.wanted(self._batch):
            try:
                await self._close(closing)
            except Refusal as refusal:
                log.warning("a customer at Stripe is closed later: %s", refusal.reason)
                await self._customers.failed(closing, refusal.reason, closing.pause())
        await self._customers.forget()

    async def _make(self, account: UUID) -> None:
        opening = await self._customers.open(account)
        if opening is None:
            return
        make = partial(self._stripe.make_customer, opening.book, opening.attempt)
        try:
            customer = await reading(make, within=MAKING_SECONDS)
        except StripeFailed:
            await self._customers.give_up(opening.book)
            raise
        await self._customers.adopt(account, opening, customer)

    async def _close(self, closing: Closing) -> None:
        named = closing.customer or await self._named(closing)
        if named is not None:
            await self._customers.named(closing, named)
        for customer in await self._all(closing.book, named):
            subscribed = await self._stripe.subscriptions(customer)
            if subscribed and closing.erasure is None:
                # Who was only just made has nothing: this is somebody whom a restored backup has forgotten.
                log.error("a customer at Stripe is subscribed and nobody's here; left alone")
                continue
            for subscription in subscribed:
                await self._stripe.cancel(subscription)
            await self._stripe.delete(customer)
        await self._customers.closed(closing)

    async def _named(self, closing: Closing) -> str | None:
        """Who was made, if the answer was lost: the same request has it, or makes now what never was.

        None if Stripe may have forgotten the request, or can only say that it failed: then its search knows.
        """
        now = self._customers.now
        if not closing.key_lasts(now):
            return None
        try:
            return await self._stripe.make_customer(closing.book, closing.attempt)
        except StripeFailed:
            if not closing.indexed(now):
                raise
            return None

    async def _all(self, book: UUID, named: str | None) -> set[str]:
        """Everybody at Stripe who bears the name of this book, should a restored backup have lost one."""
        return {*await self._stripe.customers_of(book), *([named] if named else [])}

    async def _left(self, closing: Closing) -> list[Share]:
        unknown = closing.customer is None and closing.state is not ClosingState.CLOSED
        customers = sorted(await self._all(closing.book, closing.customer))
        deleted, subscribed = await asyncio.gather(
            asyncio.gather(*(self._stripe.deleted(each) for each in customers)),
            asyncio.gather(*(self._stripe.subscriptions(each) for each in customers)),
        )
        left = len(customers) - sum(deleted) + unknown
        return [_share(left), _share(sum(len(each) for each in subscribed))]

    async def _subscribed(self, customer: str) -> int:
        """How many subscriptions would be cancelled. The rest of a preview does not wait for Stripe."""
        try:
            async with asyncio.timeout(LOOKING_SECONDS):
                return len(await self._stripe.subscriptions(customer))
        except (Refusal, TimeoutError) as error:
            log.warning("a preview goes without what is subscribed: %s", type(error).__name__)
            return 0


def _share(count: int) -> Share:
    return Share("PAYMENT", ERASED_NOW, count)
