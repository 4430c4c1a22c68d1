"""Cards: Stripe's own test cards by their names, as nobody here ever sees a number."""

from __future__ import annotations

from sandbox.stripe import errors, objects
from sandbox.stripe.store import Object, Store

TEST_CARDS = {
    "pm_card_visa": ("visa", "4242"),
    "pm_card_mastercard": ("mastercard", "4444"),
    "pm_card_chargeCustomerFail": ("visa", "0341"),
}
DECLINED = "0341"


def attach(store: Store, customer: Object, card: str, param: str = "id") -> Object:
    """Make a payment method of a test card, the customer's. Raises ApiError for a card that there is not."""
    if card not in TEST_CARDS:
        raise errors.missing_object("PaymentMethod", card, param, in_path=param == "id")
    name = store.new_id("payment_method")
    return store.put(objects.payment_method(name, store.now, customer["id"], *TEST_CARDS[card]))


def settle_default(store: Store, customer: Object, card: str | None) -> None:
    """Attach `card`, if there is one; the default has to be the customer's own. Raises ApiError."""
    invoicing = customer["invoice_settings"]
    if card is not None:
        made = attach(store, customer, card, "payment_method")
        if invoicing["default_payment_method"] == card:
            invoicing["default_payment_method"] = made["id"]
    if invoicing["default_payment_method"] is not None:
        _of(store, customer, invoicing["default_payment_method"], "invoice_settings[default_payment_method]")


def pays(card: Object | None) -> bool:
    """Whether the bank says yes."""
    return card is not None and card["card"]["last4"] != DECLINED


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
