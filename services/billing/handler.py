"""What billing answers: one method per RPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from crafiq.billing.v1 import billing_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr

from chassis.pages import Pages, size
from chassis.rpc import Call
from services.billing.adapters.stripe import signed
from services.billing.domain import (
    WEBHOOK,
    Entry,
    Hold,
    HoldCaptured,
    HoldState,
    Notice,
    WebhookUnknown,
    id_of,
    notice_of,
)
from services.billing.repository import Ledger

Heed = Callable[[Notice], Awaitable[None]]


class Handler:
    """BillingService. `hold_lifetime` is how long a hold stands before the job is asked about.

    `heed` is called with what Stripe says under the signature of `webhook_secret`.
    """

    def __init__(
        self, ledger: Ledger, pages: Pages, hold_lifetime: timedelta, heed: Heed, webhook_secret: SecretStr
    ) -> None:
        self._ledger, self._pages, self._hold_lifetime = ledger, pages, hold_lifetime
        self._heed, self._webhook_secret = heed, webhook_secret

    async def GetBalance(self, _request: billing_pb2.GetBalanceRequest, call: Call) -> billing_pb2.Balance:
        """The caller's credits."""
        balance = await self._ledger.balance(call.account)
        return billing_pb2.Balance(available=balance.available, held=balance.held, settled=balance.settled)

    async def ListEntries(
        self, request: billing_pb2.ListEntriesRequest, call: Call
    ) -> billing_pb2.ListEntriesResponse:
        """The caller's transactions, newest first; a page token is good for one filter only."""
        generation = id_of(request.generation, "generations", "generation") if request.generation else None
        listed, rows = f"entries?generation={request.generation}", size(request.page_size)
        before = self._pages.decode(listed, call.account, request.page_token)
        found = await self._ledger.entries(call.account, generation, before, rows + 1)
        response = billing_pb2.ListEntriesResponse(entries=[_entry(entry) for entry in found[:rows]])
        if len(found) > rows:
            last = found[rows - 1]
            response.next_page_token = self._pages.encode(listed, call.account, (last.at, last.transaction))
        return response

    async def PlaceHold(self, request: billing_pb2.PlaceHoldRequest, _call: Call) -> billing_pb2.Hold:
        """Set credits aside; asked again for the same generation, the answer is the same hold."""
        account = id_of(request.account, "accounts", "account")
        generation = id_of(request.generation, "generations", "generation")
        placement = await self._ledger.place(account, generation, request.credits, self._hold_lifetime)
        return _hold(placement.accepted(generation, request.credits))

    async def ReleaseHold(self, request: billing_pb2.ReleaseHoldRequest, _call: Call) -> billing_pb2.Hold:
        """Give a hold back whole; works also for a person who is erased: the ledger must close."""
        id_of(request.account, "accounts", "account")
        generation = id_of(request.generation, "generations", "generation")
        hold = await self._ledger.release(generation)
        if hold.state is HoldState.CAPTURED:
            raise HoldCaptured(generation=generation)
        return _hold(hold)

    async def ReceiveWebhook(
        self, request: billing_pb2.ReceiveWebhookRequest, call: Call
    ) -> billing_pb2.ReceiveWebhookResponse:
        """Heed what Stripe says: who signed it is Stripe, and nobody else needs to be anybody."""
        if request.name != WEBHOOK:
            raise WebhookUnknown
        event = signed(request.body.data, call.metadata.get("stripe-signature", ""), self._webhook_secret)
        notice = notice_of(event)
        if notice is not None:
            await self._heed(notice)
        return billing_pb2.ReceiveWebhookResponse()


def _hold(hold: Hold) -> billing_pb2.Hold:
    return billing_pb2.Hold(
        generation=f"generations/{hold.generation}",
        credits=hold.credits,
        captured_credits=hold.captured,
        state=billing_pb2.HoldState.Value(hold.state),
        expire_time=_time(hold.expires_at),
    )


def _entry(entry: Entry) -> billing_pb2.Entry:
    ends = {"expire_time": _time(entry.ends_at)} if entry.ends_at else {}
    return billing_pb2.Entry(
        name=f"entries/{entry.transaction}",
        kind=billing_pb2.EntryKind.Value(entry.kind),
        available_delta=entry.available_delta,
        held_delta=entry.held_delta,
        generation=f"generations/{entry.generation}" if entry.generation else "",
        description=entry.description,
        create_time=_time(entry.at),
        **ends,
    )


def _time(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
