"""The session's cookies (RFC 6265bis): HttpOnly, Secure, and each sent only where it is read."""

from __future__ import annotations

from chassis.rpc import Call
from chassis.rpc.tokens import ACCESS_COOKIE
from services.identity.domain.keys import ACCESS_LIFETIME
from services.identity.domain.sessions import SLIDING_LIFETIME

REFRESH_COOKIE = "__Secure-crafiq_refresh"
# A cookie's path ends at a slash or at the end of the request's path (RFC 6265, 5.1.4), so that
# `/v1/sessions` would not be sent to `/v1/sessions:refresh`. One cookie for each door to the RPC.
REFRESH_PATHS = ("/v1/sessions:refresh", "/crafiq.identity.v1.IdentityService/RefreshSession")


RECEIPT_COOKIE = "__Secure-crafiq_receipt"
RECEIPT_SECONDS = 30 * 24 * 3600


def set_session(call: Call, access: str, refresh: str) -> None:
    """Give the browser both tokens."""
    _set(call, ACCESS_COOKIE, access, "/", int(ACCESS_LIFETIME.total_seconds()), "Lax")
    for path in REFRESH_PATHS:
        _set(call, REFRESH_COOKIE, refresh, path, int(SLIDING_LIFETIME.total_seconds()), "Strict")


def clear_session(call: Call) -> None:
    """Take both tokens away."""
    _set(call, ACCESS_COOKIE, "", "/", 0, "Lax")
    for path in REFRESH_PATHS:
        _set(call, REFRESH_COOKIE, "", path, 0, "Strict")


def set_receipt(call: Call, erasure: str, secret: str) -> None:
    """Let the browser that deleted the account see how it goes, and fetch the receipt, for a month."""
    # As above: `/v1/erasures/{id}` would not be sent to `/v1/erasures/{id}:watch`.
    for path in (f"/v1/erasures/{erasure}", f"/v1/erasures/{erasure}:watch"):
        _set(call, RECEIPT_COOKIE, secret, path, RECEIPT_SECONDS, "Strict")


def refresh_token(call: Call) -> str:
    """The refresh token of the cookie that came; empty if none did."""
    pairs = (part.strip().partition("=") for part in call.metadata.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == REFRESH_COOKIE), "")


def _set(call: Call, name: str, value: str, path: str, max_age: int, same_site: str) -> None:
    call.set_header(
        "set-cookie",
        f"{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; Secure; SameSite={same_site}",
    )
