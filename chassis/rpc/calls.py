"""Who calls, and what a handler may know and do about the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.errors import Unauthenticated

GATEWAY = "gateway"
UNBOUNDED = 30.0
"""Seconds a unary call may take if its caller set no deadline."""
PATIENCE = 10.0
"""Seconds such a call, or a stream, waits for a peer."""


class SignInRequired(Unauthenticated):
    """A person is needed and none is signed in."""

    sentence = "Sign in first: send `Authorization: Bearer <accessToken>` or the session's cookie."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `service` is the peer's name from its certificate; "gateway" means from outside.

    `account`, `session`, `roles` and `expires_at` are those of the access token, if one came through
    the gateway and is valid.
    """

    service: str
    account: UUID | None = None
    session: UUID | None = None
    roles: frozenset[str] = frozenset()
    expires_at: datetime | None = None


NOBODY = Caller("")
Alive = Callable[[Caller], bool]
"""Whether a credential that was valid still is."""


class Call:
    """One call as the handler sees it.

    `method` is the full name, "/crafiq.assets.v1.AssetsService/GetAsset"; `metadata` the request's
    metadata (HTTP headers through the gateway), names in lower case.
    """

    __slots__ = ("_alive", "_ends", "bounded", "caller", "headers", "metadata", "method", "started")

    def __init__(
        self,
        method: str,
        metadata: Mapping[str, str],
        remaining: float | None,
        alive: Alive,
        caller: Caller = NOBODY,
    ) -> None:
        self.method, self.metadata, self.caller, self._alive = method, metadata, caller, alive
        self.headers: list[tuple[str, str]] = []
        self.started = time.monotonic()
        self.bounded = remaining is not None
        self._ends = self.started + (remaining or 0.0)

    @property
    def account(self) -> UUID:
        """The signed-in person; raises SignInRequired if there is none."""
        if self.caller.account is None:
            raise SignInRequired
        return self.caller.account

    @property
    def address(self) -> str:
        """The client's network address, believed only from the gateway; else empty. Personal."""
        if self.caller.service != GATEWAY:
            return ""
        # Envoy appends the address it saw; what stands before it is the client's own claim.
        appended = self.metadata.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return self.metadata.get("x-envoy-external-address", "") or appended

    @property
    def user_agent(self) -> str:
        """The client's user agent; empty if it said none. Personal."""
        return self.metadata.get("user-agent", "")

    def set_header(self, name: str, value: str) -> None:
        """Send a response header (initial metadata); a name may come several times, as set-cookie does.

        Takes effect if called before a unary handler ends, or before a stream's first message.
        """
        self.headers.append((name.lower(), value))

    def time_remaining(self) -> float:
        """Seconds until the deadline; what a call to a peer gets as its `timeout`."""
        return max(0.0, self._ends - time.monotonic()) if self.bounded else PATIENCE

    def still_signed_in(self) -> bool:
        """Whether the credential of this call is neither expired nor revoked by now; streams ask it."""
        return self._alive(self.caller)
