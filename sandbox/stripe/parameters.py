"""A request's parameters, checked as strictly as Stripe checks them.

A reader is given a parameter's name, as it is spelled on the wire, and its value, and answers the
typed value; all raise ApiError. What Stripe knows and the stand-in does not is refused as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.stripe import errors

Reader = Callable[[str, Any], Any]
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MOST_KEYS, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500


def fields(known: Mapping[str, Reader], required: Sequence[str] = ()) -> Reader:
    """An object with these and no others; at the top its name is empty."""

    def read(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise errors.invalid("object", name)
        inside = {key: f"{name}[{key}]" if name else key for key in (*value, *required)}
        for key in value:
            if key not in known:
                raise errors.unknown(inside[key])
        for key in required:
            if key not in value:
                raise errors.missing(inside[key])
        return {key: known[key](inside[key], each) for key, each in value.items()}

    return read


def listed(each: Reader) -> Reader:
    """A list: `name[0]`, `name[1]`, or `name[]` again and again."""

    def read(name: str, value: Any) -> list[Any]:
        if not isinstance(value, dict) or not all(place.isdecimal() for place in value):
            raise errors.invalid("array", name)
        return [each(f"{name}[{place}]", value[place]) for place in sorted(value, key=int)]

    return read


def text(name: str, value: Any) -> str:
    """Not empty, up to 5,000 characters."""
    if not isinstance(value, str):
        raise errors.invalid("string", name)
    if not value:
        raise errors.empty(name)
    if len(value) > 5000:
        raise errors.too_long(name, 5000)
    return value


def unset(reader: Reader) -> Reader:
    """What the empty string takes back: None."""
    return lambda name, value: None if value == "" else reader(name, value)


def email(name: str, value: Any) -> str:
    """An address."""
    found = text(name, value)
    if not _EMAIL.fullmatch(found):
        raise errors.email_invalid(found)
    return found


def whole(lowest: int, highest: int) -> Reader:
    """A number without a fraction."""

    def read(name: str, value: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}", value):
            raise errors.not_whole(name, value)
        if not lowest <= int(value) <= highest:
            raise errors.out_of_range(name, lowest, highest)
        return int(value)

    return read


def flag(name: str, value: Any) -> bool:
    """`true` or `false`."""
    if value not in {"true", "false"}:
        raise errors.invalid("boolean", name, value)
    return bool(value == "true")


def choice(*values: str) -> Reader:
    """One of these words."""

    def read(name: str, value: Any) -> str:
        if value not in values:
            raise errors.not_one_of(name, values)
        return str(value)

    return read


def metadata(name: str, value: Any) -> dict[str, str]:
    """Up to 50 pairs; an empty value takes a key back, an empty string all of them."""
    if value == "":
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise errors.invalid("object", name)
    if len(value) > MOST_KEYS:
        raise errors.ApiError(400, f"You can only have up to {MOST_KEYS} metadata keys.", param=name)
    for key, each in value.items():
        if len(key) > LONGEST_KEY:
            raise errors.ApiError(
                400, f"Metadata keys can have up to {LONGEST_KEY} characters.", param=f"{name}[{key}]"
            )
        if len(each) > LONGEST_VALUE:
            raise errors.ApiError(
                400, f"Metadata values can have up to {LONGEST_VALUE} characters.", param=f"{name}[{key}]"
            )
    return dict(value)


def merged(before: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata after a change: nothing given changes nothing, an empty value removes its key."""
    if given == {}:
        return {}
    return {key: value for key, value in {**before, **(given or {})}.items() if value != ""}


# fmt: off
_PLACE = ("city", "country", "line1", "line2", "postal_code", "state")
_ADDRESS = fields({name: unset(text) for name in _PLACE})
_INVOICING = fields({"default_payment_method": unset(text)})
_CUSTOMER: dict[str, Reader] = {
    "address": unset(_ADDRESS), "description": unset(text), "email": unset(email),
    "invoice_settings": _INVOICING, "metadata": metadata, "name": unset(text), "phone": unset(text),
}
_PAGE: dict[str, Reader] = {"limit": whole(1, 100), "starting_after": text, "ending_before": text}
_CANCELLATION = fields({
    "comment": unset(text),
    "feedback": unset(choice(
        "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
        "too_expensive", "unused",
    )),
})
STATUSES = (
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled",
)
NOTHING = fields({})
CUSTOMER_CREATE = fields({**_CUSTOMER, "payment_method": text})
CUSTOMER_UPDATE = fields(_CUSTOMER)
CUSTOMER_LIST = fields({**_PAGE, "email": email})
CUSTOMER_SEARCH = fields({"query": text, "limit": whole(1, 100), "page": text}, ["query"])
PAYMENT_METHOD_ATTACH = fields({"customer": text}, ["customer"])
PRODUCT_CREATE = fields(
    {"name": text, "active": flag, "description": unset(text), "metadata": metadata}, ["name"]
)
PRICE_CREATE = fields(
    {
        "currency": text, "unit_amount": whole(0, 99_999_999), "product": text, "nickname": unset(text),
        "active": flag, "metadata": metadata, "product_data": fields({"name": text}, ["name"]),
        "recurring": fields(
            {"interval": choice("day", "week", "month", "year"), "interval_count": whole(1, 36)}, ["interval"]
        ),
    },
    ["currency", "unit_amount"],
)
SUBSCRIPTION_CREATE = fields(
    {
        "customer": text, "metadata": metadata, "default_payment_method": text,
        "trial_period_days": whole(1, 730), "cancel_at_period_end": flag,
        "items": listed(fields({"price": text, "quantity": whole(0, 999_999)}, ["price"])),
        "payment_behavior": choice(
            "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
        ),
    },
    ["customer", "items"],
)
SUBSCRIPTION_UPDATE = fields(
    {"metadata": metadata, "cancel_at_period_end": flag, "cancellation_details": _CANCELLATION}
)
SUBSCRIPTION_CANCEL = fields({"invoice_now": flag, "prorate": flag, "cancellation_details": _CANCELLATION})
SUBSCRIPTION_LIST = fields(
    {**_PAGE, "customer": text, "price": text, "status": choice(*STATUSES, "ended", "all")}
)
INVOICE_LIST = fields(
    {
        **_PAGE, "customer": text, "subscription": text,
        "status": choice("draft", "open", "paid", "uncollectible", "void"),
    }
)
# fmt: on
