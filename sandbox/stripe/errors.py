"""Stripe's errors: `{"error": {"type", "code", "message", "param", ...}}` with its own words and codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HELP = "Please see https://stripe.com/docs or we can help at https://support.stripe.com/."


class ApiError(Exception):
    """An answer that is an error.

    status: of HTTP. kind: Stripe's `type`. code: what clients branch on, if there is one. param: the
    parameter at fault, as it was spelled. headers: to add to the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        said = {"message": message, "type": kind, "code": code, "param": param}
        if code is not None:
            said["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        self.body: dict[str, Any] = {
            "error": {key: value for key, value in said.items() if value is not None}
        }


def no_key() -> ApiError:
    return ApiError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization header, "
        "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for details, or we can help at "
        "https://support.stripe.com/.",
        headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
    )


def wrong_key(key: str) -> ApiError:
    shown = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * 8
    return ApiError(
        401,
        f"Invalid API Key provided: {shown}",
        headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
    )


def no_permission(method: str, path: str) -> ApiError:
    return ApiError(
        403,
        f"The provided key does not have the required permissions for this endpoint ({method} {path}).",
        code="more_permissions_required",
    )


def no_such_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Unrecognized request URL ({method}: {path}). {HELP}")


def wrong_version(version: str) -> ApiError:
    return ApiError(400, f"Invalid Stripe API version: {version}")


def wrong_content_type() -> ApiError:
    return ApiError(
        400,
        "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you "
        "have any questions, we can help at https://support.stripe.com/.",
    )


def missing_object(kind: str, name: str, param: str, *, in_path: bool = False) -> ApiError:
    """404 where the object is what the URL names, else 400."""
    return ApiError(
        404 if in_path else 400, f"No such {kind}: '{name}'", code="resource_missing", param=param
    )


def unknown(param: str) -> ApiError:
    return ApiError(400, f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def missing(param: str) -> ApiError:
    return ApiError(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def empty(param: str) -> ApiError:
    return ApiError(
        400,
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{param}' cannot be unset. You should remove '{param}' from your request or "
        "supply a non-empty value.",
        code="parameter_invalid_empty",
        param=param,
    )


def not_whole(param: str, value: object) -> ApiError:
    return ApiError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)


def out_of_range(param: str, lowest: int, highest: int) -> ApiError:
    return ApiError(
        400,
        f"This value must be between {lowest} and {highest}.",
        code="parameter_invalid_integer",
        param=param,
    )


def invalid(what: str, param: str, value: object = "") -> ApiError:
    return ApiError(400, f"Invalid {what}{f': {value}' if value else ''}", param=param)


def not_one_of(param: str, supported: Sequence[str]) -> ApiError:
    *most, last = supported
    allowed = f"{', '.join(most)}, or {last}" if most else last
    return ApiError(400, f"Invalid {param}: must be one of {allowed}", param=param)


def too_long(param: str, longest: int) -> ApiError:
    return ApiError(400, f"Invalid string; must be at most {longest} characters", param=param)


def email_invalid(value: str) -> ApiError:
    return ApiError(400, f"Invalid email address: {value}", code="email_invalid", param="email")


def key_too_long() -> ApiError:
    return ApiError(400, "Idempotency keys can be up to 255 characters long.", kind="idempotency_error")


def other_parameters(key: str) -> ApiError:
    return ApiError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def other_endpoint(key: str, first: str, now: str) -> ApiError:
    return ApiError(
        400,
        "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('{first}' vs '{now}'). Try using a key other than '{key}' if you meant to execute a different "
        "request.",
        kind="idempotency_error",
    )


def key_in_use(key: str) -> ApiError:
    return ApiError(
        409,
        f"There is currently another in-progress request using this Idempotent Key: {key}.",
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )


def no_payment_method() -> ApiError:
    return ApiError(
        400,
        "This customer has no attached payment source or default payment method. Please consider adding a "
        "default payment method.",
        code="resource_missing",
    )


def card_declined() -> ApiError:
    return ApiError(402, "Your card was declined.", kind="card_error", code="card_declined")


def not_recurring(param: str) -> ApiError:
    return ApiError(
        400,
        "The price specified is set to `type=one_time` but this field only accepts prices with "
        "`type=recurring`.",
        param=param,
    )


def cancelled() -> ApiError:
    return ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")


def rate_limited() -> ApiError:
    return ApiError(
        429,
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": "global-rate"},
    )


def server_error(request_id: str) -> ApiError:
    return ApiError(
        500,
        "An unknown error occurred; please try again later, or contact us at "
        f"https://support.stripe.com/ with the request ID {request_id}.",
        kind="api_error",
        headers={"Stripe-Should-Retry": "false"},
    )


def overloaded() -> ApiError:
    return ApiError(503, "The service is temporarily unavailable. Please try again.", kind="api_error")


def not_played(param: str) -> ApiError:
    """Stripe does this; the stand-in does not, and says so rather than guess."""
    return ApiError(400, f"This sandbox does not play '{param}': leave it out.", param=param)
