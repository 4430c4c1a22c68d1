"""Who calls, and what a handler may know and do about the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.errors import Unauthenticated


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


class Call:
    """One call as the handler sees it."""

    caller: Caller
    method: str
    """Full name: "/crafiq.assets.v1.AssetsService/GetAsset"."""
    metadata: Mapping[str, str]
    """Request metadata (HTTP headers through the gateway), names in lower case."""

    @property
    def account(self) -> UUID:
        """The signed-in person; raises SignInRequired if there is none."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """The client's network address, believed only from the gateway; else empty. Personal."""
        raise NotImplementedError

    @property
    def user_agent(self) -> str:
        """The client's user agent; empty if it said none. Personal."""
        raise NotImplementedError

    def set_header(self, name: str, value: str) -> None:
        """Send a response header (initial metadata); a name may come several times, as set-cookie does."""
        raise NotImplementedError

    def time_remaining(self) -> float:
        """Seconds until the deadline; what a call to a peer gets as its `timeout`."""
        raise NotImplementedError

    def still_signed_in(self) -> bool:
        """Whether the credential of this call is neither expired nor revoked by now; streams ask it."""
        raise NotImplementedError
