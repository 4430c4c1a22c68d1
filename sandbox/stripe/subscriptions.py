"""Subscriptions: how they begin, what becomes of them, how they end; what is cancelled stays cancelled."""

from __future__ import annotations

from typing import Any

from sandbox.stripe import cards, errors, invoices, objects, parameters
from sandbox.stripe.store import Object, Store

DAY = 86_400
SECONDS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
ENDED = ("canceled", "incomplete_expired")
# What time and banks do to a subscription; what its owner does is `cancel`.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "incomplete": ("active", "incomplete_expired"),
    "trialing": ("active", "past_due", "paused"),
    "active": ("past_due", "unpaid"),
    "past_due": ("active", "unpaid", "canceled"),
    "unpaid": ("active", "canceled"),
    "paused": ("active",),
    **dict.fromkeys(ENDED, ()),
}


class Subscriptions:
    """What `/v1/subscriptions` does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, asked: Object) -> Object:
        """Begin one, with its first invoice. Raises ApiError, for a declined card if that was asked for."""
        customer = self._store.living_customer(asked["customer"], "customer")
        priced = self._priced(asked["items"])
        trial, behavior = asked.get("trial_period_days"), asked.get("payment_behavior", "allow_incomplete")
        card = cards.of_subscription(self._store, customer, asked.get("default_payment_method"))
        due = 0 if trial else sum(price["unit_amount"] * quantity for price, quantity in priced)
        if due and card is None and behavior != "default_incomplete":
            raise errors.no_payment_method()
        paid = not due or (cards.pays(card) and behavior != "default_incomplete")
        if not paid and behavior == "error_if_incomplete":
            raise errors.card_declined()
        made = self._make(asked, priced, "trialing" if trial else "active" if paid else "incomplete")
        made["latest_invoice"] = invoices.make(self._store, made, customer, paid=paid)["id"]
        customer["currency"] = made["currency"]
        return self._store.put(made)

    def update(self, name: str, asked: Object) -> Object:
        """Change it; of one that was cancelled only what says why. Raises ApiError."""
        found = self._store.get("subscription", name)
        if found["status"] == "canceled" and "cancel_at_period_end" in asked:
            raise errors.cancelled()
        found["metadata"] = parameters.merged(found["metadata"], asked.get("metadata"))
        found["cancellation_details"] |= asked.get("cancellation_details", {})
        if "cancel_at_period_end" in asked:
            found["cancel_at_period_end"] = asked["cancel_at_period_end"]
            end = found["items"]["data"][0]["current_period_end"] if asked["cancel_at_period_end"] else None
            found["cancel_at"], found["canceled_at"] = end, self._store.now if end else None
        return found

    def cancel(self, name: str, asked: Object) -> Object:
        """End it now. One that has ended is not there any more, as Stripe sees it. Raises ApiError."""
        for unplayed in ("prorate", "invoice_now"):
            if asked.get(unplayed):
                raise errors.not_played(unplayed)
        found = self._store.get("subscription", name)
        if found["status"] in ENDED:
            raise errors.missing_object("subscription", name, "id", in_path=True)
        found["cancellation_details"] |= {
            **asked.get("cancellation_details", {}),
            "reason": "cancellation_requested",
        }
        self._end(found)
        return found

    def cancel_all(self, customer: str) -> None:
        """What deleting a customer does."""
        for each in self._store.all("subscription", lambda one: one["customer"] == customer):
            if each["status"] not in ENDED:
                self.cancel(each["id"], {})

    def become(self, name: str, status: object) -> Object:
        """What time and banks do to it. Raises ApiError for what can't happen."""
        found = self._store.get("subscription", name)
        if status not in TRANSITIONS[found["status"]]:
            message = f"{found['status']} does not become {status}: {TRANSITIONS[found['status']]}"
            raise errors.ApiError(400, message, param="status")
        if status == "canceled":
            found["cancellation_details"]["reason"] = "payment_failed"
            self._end(found)
            return found
        found["status"] = status
        for each in self._open_invoices(found):
            if status == "active":
                invoices.pay(each, self._store.now)
            elif status == "incomplete_expired":
                invoices.void(each, self._store.now)
        if status == "incomplete_expired":
            found["ended_at"] = self._store.now
        return found

    def page(self, asked: Object) -> Object:
        """By default what was not cancelled; of a customer who was deleted, what there was."""
        if "customer" in asked:
            self._store.get("customer", asked["customer"], "customer")
        return self._store.page("subscription", asked, lambda each: _wanted(each, asked))

    def _priced(self, items: list[Object]) -> list[tuple[Object, int]]:
        if not items:
            raise errors.missing("items")
        found = []
        for place, each in enumerate(items):
            price = self._store.get("price", each["price"], f"items[{place}][price]")
            if price["recurring"] is None:
                raise errors.not_recurring(f"items[{place}][price]")
            found.append((price, each.get("quantity", 1)))
        return found

    def _make(self, asked: Object, priced: list[tuple[Object, int]], status: str) -> Object:
        name, now = self._store.new_id("subscription"), self._store.now
        items = []
        for price, quantity in priced:
            recurring: dict[str, Any] = price["recurring"]
            length = SECONDS[recurring["interval"]] * recurring["interval_count"]
            if status == "trialing":
                length = DAY * int(asked["trial_period_days"])
            item = self._store.new_id("subscription_item")
            items.append(objects.item(item, name, price, quantity, (now, now + length)))
        return objects.subscription(name, now, asked, items, status)

    def _end(self, found: Object) -> None:
        """No invoice is collected any more by itself; what was paid stays paid."""
        found.update(status="canceled", canceled_at=self._store.now, ended_at=self._store.now)
        for each in self._open_invoices(found):
            each["auto_advance"] = False

    def _open_invoices(self, of: Object) -> list[Object]:
        def unpaid(invoice: Object) -> bool:
            details = invoice["parent"]["subscription_details"]
            return bool(details["subscription"] == of["id"] and invoice["status"] == "open")

        return self._store.all("invoice", unpaid)


def _wanted(found: Object, asked: Object) -> bool:
    status = asked.get("status")
    if status is None and found["status"] == "canceled":
        return False
    if status == "ended" and found["status"] not in ENDED:
        return False
    if status not in (None, "all", "ended", found["status"]):
        return False
    prices = {item["price"]["id"] for item in found["items"]["data"]}
    return asked.get("customer", found["customer"]) == found["customer"] and (
        "price" not in asked or asked["price"] in prices
    )
