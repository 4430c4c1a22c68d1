"""What Stripe's objects look like in the version of the API that is spoken here."""

from __future__ import annotations

from sandbox.stripe.store import Object

VERSION = "2026-10-28.endive"
"""The version that the SDK in use was made for; its shapes are the ones below."""


def customer(name: str, created: int, given: Object) -> Object:
    """`given` are the parameters that are shown as they came."""
    invoicing = given.get("invoice_settings") or {}
    return {
        "id": name,
        "object": "customer",
        "address": given.get("address"),
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "email": given.get("email"),
        "invoice_prefix": name[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": invoicing.get("default_payment_method"),
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "name": given.get("name"),
        "next_invoice_sequence": 1,
        "phone": given.get("phone"),
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def deleted_customer(name: str) -> Object:
    """All that is shown of a customer who was deleted."""
    return {"id": name, "object": "customer", "deleted": True}


def payment_method(name: str, created: int, of: str, brand: str, last4: str) -> Object:
    """A card: all that anybody but Stripe ever sees of one."""
    return {
        "id": name,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": dict.fromkeys(("address", "email", "name", "phone", "tax_id")),
        "card": {"brand": brand, "exp_month": 12, "exp_year": 2034, "funding": "credit", "last4": last4},
        "created": created,
        "customer": of,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def product(name: str, created: int, given: Object) -> Object:
    return {
        "id": name,
        "object": "product",
        "active": given.get("active", True),
        "created": created,
        "default_price": None,
        "description": given.get("description"),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": given.get("metadata", {}),
        "name": given["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }


def price(name: str, created: int, given: Object) -> Object:
    recurring = given.get("recurring")
    return {
        "id": name,
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": "per_unit",
        "created": created,
        "currency": given["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": given.get("metadata", {}),
        "nickname": given.get("nickname"),
        "product": given["product"],
        "recurring": recurring
        and {
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
            **recurring,
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": given["unit_amount"],
        "unit_amount_decimal": str(given["unit_amount"]),
    }


def _plan(of: Object) -> Object:
    """A price as it was called before there were prices; items still show it."""
    same = (
        "id",
        "active",
        "billing_scheme",
        "created",
        "currency",
        "livemode",
        "metadata",
        "nickname",
        "product",
    )
    recurring = of["recurring"]
    return {
        **{key: of[key] for key in same},
        "object": "plan",
        "amount": of["unit_amount"],
        "amount_decimal": of["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": None,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def item(name: str, subscription_name: str, of: Object, quantity: int, period: tuple[int, int]) -> Object:
    """A price that somebody subscribed to; `period` begins and ends in seconds since 1970."""
    return {
        "id": name,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": period[0],
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": _plan(of),
        "price": of,
        "quantity": quantity,
        "subscription": subscription_name,
        "tax_rates": [],
    }


def contents(url: str, data: list[Object]) -> Object:
    """A list inside of an object."""
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


def subscription(name: str, created: int, given: Object, items: list[Object], status: str) -> Object:
    trial_end = items[0]["current_period_end"] if status == "trialing" else None
    return {
        **dict.fromkeys(_NEVER_OF_A_SUBSCRIPTION),
        **_settings_of_a_subscription(),
        "id": name,
        "object": "subscription",
        "billing_cycle_anchor": trial_end or created,
        "cancel_at": None,
        "cancel_at_period_end": given.get("cancel_at_period_end", False),
        "canceled_at": None,
        "created": created,
        "currency": items[0]["price"]["currency"],
        "customer": given["customer"],
        "default_payment_method": given.get("default_payment_method"),
        "ended_at": None,
        "items": contents(f"/v1/subscription_items?subscription={name}", items),
        "latest_invoice": None,
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "start_date": created,
        "status": status,
        "trial_end": trial_end,
        "trial_start": created if trial_end else None,
    }


_NEVER_OF_A_SUBSCRIPTION = (
    "application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds",
    "days_until_due", "default_source", "description", "next_pending_invoice_item_invoice", "on_behalf_of",
    "pause_collection", "pending_invoice_item_interval", "pending_setup_intent", "pending_update", "schedule",
    "test_clock", "transfer_data",
)  # fmt: skip


def _settings_of_a_subscription() -> Object:
    return {
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "payment_settings": {"payment_method_options": None, "payment_method_types": None},
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def line(name: str, invoice_name: str, of: Object, amount: int) -> Object:
    """An item on an invoice."""
    priced = of["price"]
    return {
        **{key: [] for key in ("discount_amounts", "discounts", "pretax_credit_amounts", "taxes")},
        "id": name,
        "object": "line_item",
        "amount": amount,
        "currency": priced["currency"],
        "description": f"{of['quantity']} × {priced['product']}",
        "discountable": True,
        "invoice": invoice_name,
        "livemode": False,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None, "proration": False, "proration_details": {"credited_items": None},
                "subscription": of["subscription"], "subscription_item": of["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": of["current_period_end"], "start": of["current_period_start"]},
        "pricing": {
            "price_details": {"price": priced["id"], "product": priced["product"]},
            "type": "price_details",
            "unit_amount_decimal": priced["unit_amount_decimal"],
        },
        "quantity": of["quantity"],
        "subtotal": amount,
    }  # fmt: skip
