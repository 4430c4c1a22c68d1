"""Stripe, through its own SDK: customers, and that their subscriptions end; what it says by itself.

Each call is made once: who asks again is decided where it is known whether that is safe. Cancelling and
deleting are idempotent; making a customer is under its Idempotency-Key.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import stripe
from pydantic import SecretStr

from chassis.errors import Refusal
from services.billing.domain import (
    ENDED,
    NotAtStripe,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
    Subscribed,
    WebhookUnsigned,
)

TOTAL_SECONDS, CONNECT_SECONDS = 10.0, 5.0
PAGE = 100
WALLET = "wallet"
"""All that Stripe is told of a person by us: under this name in the metadata, the random id of their book."""
SIGNED_WITHIN = stripe.Webhook.DEFAULT_TOLERANCE
"""Seconds: five minutes."""

# The SDK would write an id into the home folder, and tell it and the machine's platform with every call.
stripe.enable_telemetry = False
# At INFO it logs every URL, and in those are customers.
logging.getLogger("stripe").setLevel(logging.WARNING)


class _Http(stripe.HTTPClient):
    """What the SDK sends and what comes back: one deadline for a whole call, no redirects."""

    name = "aiohttp"

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__()
        self._session = session

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """See stripe.HTTPClient."""
        try:
            async with self._session.request(
                method, url, headers=headers, data=post_data, allow_redirects=False
            ) as answer:
                return await answer.read(), answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unanswered(error) from error


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """When a connection breaks aiohttp asks again by itself, unless what broke has another name."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _unanswered(error) from error


def _unanswered(error: Exception) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(type(error).__name__)  # type: ignore[no-untyped-call]  # it has none


@asynccontextmanager
async def stripe_at(url: str, key: SecretStr, seconds: float = TOTAL_SECONDS) -> AsyncIterator[Stripe]:
    """Stripe, each call within `seconds`; its connections close when the block ends.

    No cookies, no proxy from the environment.
    """
    timeout = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, middlewares=[_once]
    ) as session:
        yield Stripe(
            stripe.StripeClient(
                key.get_secret_value(),
                base_addresses={"api": url.rstrip("/")},
                max_network_retries=0,
                http_client=_Http(session),
            )
        )


class Stripe:
    """Every call raises StripeUnavailable, StripeFailed or StripeRefused, and nothing else of the SDK's."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._customers, self._subscriptions = client.v1.customers, client.v1.subscriptions

    async def make_customer(self, book: UUID, attempt: int) -> str:
        """Make the customer of a book. Asked again for the same attempt within a day: the same one."""
        key = f"customer-{book}-{attempt}"
        with _heard():
            made = await self._customers.create_async(
                {"metadata": {WALLET: str(book)}}, {"idempotency_key": key}
            )
        return made.id

    async def customers_of(self, book: UUID) -> list[str]:
        """Which customers are a book's by what is written on them and are not deleted.

        What was made within the last minute may be missing.
        """
        query = f"metadata['{WALLET}']:'{book}'"
        with _heard():
            found = await self._customers.search_async({"query": query, "limit": PAGE})
        return [each.id for each in found.data]

    async def subscriptions(self, customer: str) -> list[str]:
        """Those that have not ended, whatever state they are in; of a customer who is deleted, none."""
        try:
            with _heard():
                # Without a status Stripe lists all that were not cancelled, those that expired unpaid too.
                found = await self._subscriptions.list_async({"customer": customer, "limit": PAGE})
                return [each.id async for each in found.auto_paging_iter() if each.status not in ENDED]
        except NotAtStripe:
            return []

    async def subscription(self, subscription: str) -> Subscribed:
        """How it stands now; one that has ended stays known. Raises NotAtStripe if it never was."""
        with _heard():
            found = await self._subscriptions.retrieve_async(subscription)
        ends = [item.current_period_end for item in found.items.data]
        customer = found.customer if isinstance(found.customer, str) else found.customer.id
        return Subscribed(
            found.id, customer, found.status, datetime.fromtimestamp(min(ends), UTC) if ends else None
        )

    async def cancel(self, subscription: str) -> None:
        """End it now; one that has ended is fine.

        Nothing is charged for it from now on, and nothing is given back or credited by this: no proration,
        no last invoice. A credit would be the customer's, who is deleted next.
        """
        with suppress(NotAtStripe), _heard():
            await self._subscriptions.cancel_async(subscription, {"prorate": False, "invoice_now": False})

    async def delete(self, customer: str) -> None:
        """Delete for good, with cards and whatever is still subscribed; one who is deleted is fine.

        What the law has Stripe and us keep stays there: invoices and charges. Raises NotAtStripe for one
        that Stripe has never heard of: a deleted one it would know as deleted.
        """
        try:
            with _heard():
                await self._customers.delete_async(customer)
        except NotAtStripe:
            if not await self.deleted(customer):
                raise

    async def deleted(self, customer: str) -> bool:
        """Whether Stripe says that this customer was deleted. Raises NotAtStripe as `delete` does."""
        with _heard():
            found = await self._customers.retrieve_async(customer)
        return bool(getattr(found, "deleted", False))


def signed(body: bytes, signature: str, secret: SecretStr) -> Any:
    """The event in a body that Stripe signed with our endpoint's secret a moment ago.

    `signature` is the header Stripe-Signature: while the secret is exchanged Stripe signs with both, and one
    has to fit. None if what was signed is no JSON. Raises WebhookUnsigned; always if there is no secret.
    """
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret.get_secret_value(), SIGNED_WITHIN)
    except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):
        # The SDK's has the body in it. Nobody signs what is no UTF-8, and no signature has more than ASCII.
        raise WebhookUnsigned from None
    try:
        return json.loads(body)
    except ValueError:
        return None


@contextmanager
def _heard() -> Iterator[None]:
    """Errors of the SDK as ours."""
    try:
        yield
    except stripe.StripeError as error:
        raise _refusal(error) from error


def _refusal(error: stripe.StripeError) -> Refusal:
    status = error.http_status
    if status is None or status in (408, 409, 429) or status > 500:
        # No answer, none of Stripe's own, a request under the same key under way, too many requests.
        return StripeUnavailable()
    if error.code == "resource_missing":
        return NotAtStripe(status=status, code=error.code)
    if 400 <= status < 500:
        return StripeRefused(status=status, code=error.code or type(error).__name__)
    return StripeFailed(status=status)
