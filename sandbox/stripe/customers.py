"""Customers: made, changed, found by what is written on them, deleted for good and remembered as deleted."""

from __future__ import annotations

import re

from sandbox.stripe import cards, errors, objects, parameters
from sandbox.stripe.store import Object, Store
from sandbox.stripe.subscriptions import Subscriptions

_QUERY = re.compile(r"""metadata\[(['"])(?P<key>[^'"]+)\1\]:(['"])(?P<value>[^'"]+)\3""")
_SHOWN = ("address", "description", "email", "name", "phone")


class Customers:
    """What `/v1/customers` does."""

    def __init__(self, store: Store, subscriptions: Subscriptions) -> None:
        self._store, self._subscriptions = store, subscriptions

    def create(self, asked: Object) -> Object:
        """Raises ApiError."""
        given = {**asked, "metadata": parameters.merged({}, asked.get("metadata"))}
        made = objects.customer(self._store.new_id("customer"), self._store.now, given)
        cards.settle_default(self._store, made, asked.get("payment_method"))
        return self._store.put(made)

    def retrieve(self, name: str) -> Object:
        """Also one who was deleted, of whom nothing else is shown. Raises ApiError."""
        return self._store.get("customer", name)

    def update(self, name: str, asked: Object) -> Object:
        """Raises ApiError, also for one who was deleted."""
        found = self._store.living_customer(name)
        changed = {**found, **{key: asked[key] for key in _SHOWN if key in asked}}
        changed["metadata"] = parameters.merged(found["metadata"], asked.get("metadata"))
        changed["invoice_settings"] = {**found["invoice_settings"], **asked.get("invoice_settings", {})}
        cards.settle_default(self._store, changed, None)
        return self._store.put(changed)

    def delete(self, name: str) -> Object:
        """For good: subscriptions are cancelled and cards forgotten; invoices stay. Raises ApiError."""
        self._store.living_customer(name)
        self._subscriptions.cancel_all(name)
        cards.forget(self._store, name)
        return self._store.put(objects.deleted_customer(name))

    def attach_card(self, card: str, asked: Object) -> Object:
        """One of Stripe's test cards. Raises ApiError."""
        return cards.attach(self._store, self._store.living_customer(asked["customer"], "customer"), card)

    def page(self, asked: Object) -> Object:
        """Of those who are not deleted."""
        email = asked.get("email")
        return self._store.page(
            "customer",
            asked,
            lambda each: not each.get("deleted") and (email is None or each["email"] == email),
        )

    def search(self, asked: Object) -> Object:
        """By one entry of `metadata`; at Stripe, what was made within the last minute may be missing."""
        matched = _QUERY.fullmatch(asked["query"])
        if matched is None or "page" in asked:
            raise errors.not_played("page" if "page" in asked else "query")
        key, value = matched["key"], matched["value"]
        found = self._store.all(
            "customer", lambda each: not each.get("deleted") and each["metadata"].get(key) == value
        )
        limit = asked.get("limit", 10)
        return {
            "object": "search_result", "url": "/v1/customers/search", "data": found[:limit],
            "has_more": len(found) > limit, "next_page": None, "total_count": len(found),
        }  # fmt: skip
