"""Cards: Stripe's own test cards by their names, as nobody here ever sees a number."""

from __future__ import annotations

from sandbox.stripe import errors
from sandbox.stripe.store import Object, Store

TEST_CARDS = {"pm_card_visa": True, "pm_card_mastercard": True, "pm_card_chargeCustomerFail": False}
"""Whether it pays."""


def attach(store: Store, customer: Object, card: str | None) -> None:
    """Make a payment method of a test card; the customer's default one, if its name stands there.

    Raises ApiError for a card that there is not.
    """
    default = customer["invoice_settings"]["default_payment_method"]
    if card is not None:
        if card not in TEST_CARDS:
            raise errors.missing_object("PaymentMethod", card, "payment_method")
        made = {
            "id": store.new_id("payment_method"), "object": "payment_method",
            "customer": customer["id"], "pays": TEST_CARDS[card],
        }  # fmt: skip
        store.put(made)
        if default == card:
            default = customer["invoice_settings"]["default_payment_method"] = made["id"]
    if default is not None:
        _of(store, customer, default, "invoice_settings[default_payment_method]")


def of_subscription(store: Store, customer: Object, own: str | None) -> Object | None:
    """What a subscription is paid with: its own card, else the customer's default one. Raises ApiError."""
    if own is not None:
        return _of(store, customer, own, "default_payment_method")
    default = customer["invoice_settings"]["default_payment_method"]
    return None if default is None else store.get("payment_method", default)


def forget(store: Store, customer: str) -> None:
    """What deleting a customer does: all card details go."""
    for each in store.all("payment_method", lambda one: one["customer"] == customer):
        store.remove("payment_method", each["id"])


def _of(store: Store, customer: Object, card: str, param: str) -> Object:
    found = store.get("payment_method", card, param)
    if found["customer"] != customer["id"]:
        raise errors.ApiError(
            400,
            "The customer does not have a payment method with the ID " + card,
            code="resource_missing",
            param=param,
        )
    return found
