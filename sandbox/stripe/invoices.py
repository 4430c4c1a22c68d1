"""Invoices: made with a subscription's first period, final from then on, kept without their customer."""

from __future__ import annotations

from typing import Any

from sandbox.stripe import objects
from sandbox.stripe.store import Object, Store


def make(store: Store, of: Object, customer: Object, *, paid: bool) -> Object:
    """The first invoice of a subscription.

    Who it is for is copied in this moment, as an invoice has to say it, and not changed any more.
    """
    name, free = store.new_id("invoice"), of["status"] == "trialing"
    lines = []
    for item in of["items"]["data"]:
        amount = 0 if free else item["quantity"] * item["price"]["unit_amount"]
        lines.append(objects.line(store.new_id("line_item"), name, item, amount))
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    made = _shape(name, of, lines, paid=paid)
    copied = {f"customer_{key}": customer[key] for key in ("address", "email", "name", "phone")}
    return store.put({**made, **copied, "number": number})


def void(of: Object, now: int) -> None:
    """Nobody has to pay it any more."""
    of.update(status="void", auto_advance=False)
    of["status_transitions"]["voided_at"] = now


def pay(of: Object, now: int) -> None:
    """It is paid."""
    of.update(
        status="paid", attempted=True, auto_advance=False, amount_paid=of["amount_due"], amount_remaining=0
    )
    of["status_transitions"]["paid_at"] = now


def _shape(name: str, of: Object, lines: list[Object], *, paid: bool) -> Object:
    total, now = sum(line["amount"] for line in lines), of["created"]
    made = {**_amounts(total), **_nothing(), **_who(of)}
    made |= {
        "id": name,
        "object": "invoice",
        "attempt_count": 1 if total else 0,
        "attempted": total > 0,
        "auto_advance": True,
        "billing_reason": "subscription_create",
        "created": now,
        "currency": of["currency"],
        "effective_at": now,
        "lines": objects.contents(f"/v1/invoices/{name}/lines", lines),
        "livemode": False,
        "metadata": {},
        "period_end": now,
        "period_start": now,
        "status": "open",
        "status_transitions": {
            "finalized_at": now, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None,
        },
    }  # fmt: skip
    if paid:
        pay(made, now)
    return made


def _amounts(total: int) -> Object:
    return {
        "amount_due": total, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": total,
        "amount_shipping": 0, "ending_balance": 0, "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0, "starting_balance": 0, "subtotal": total,
        "subtotal_excluding_tax": total, "total": total, "total_discount_amounts": [],
        "total_excluding_tax": total, "total_pretax_credit_amounts": [], "total_taxes": [],
    }  # fmt: skip


def _who(of: Object) -> Object:
    details: dict[str, Any] = {"metadata": of["metadata"], "subscription": of["id"]}
    return {
        "account_country": "DE",
        "account_name": "Sandbox",
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None,
        },
        "collection_method": of["collection_method"],
        "customer": of["customer"],
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": of["default_payment_method"],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
    }  # fmt: skip


def _nothing() -> Object:
    """What an invoice of ours never has."""
    names = (
        "account_tax_ids", "application", "automatically_finalizes_at", "custom_fields", "customer_shipping",
        "default_source", "description", "due_date", "footer", "from_invoice", "hosted_invoice_url",
        "invoice_pdf", "last_finalization_error", "latest_revision", "next_payment_attempt", "on_behalf_of",
        "receipt_number", "rendering", "shipping_cost", "shipping_details", "statement_descriptor",
        "test_clock", "webhooks_delivered_at",
    )  # fmt: skip
    return dict.fromkeys(names)
