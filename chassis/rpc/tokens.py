"""Access tokens: JWTs (RFC 9068, ES256) that every service verifies itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from joserfc.jwk import ECKey

from chassis.clock import Clock

ISSUER = "crafiq-identity"
AUDIENCE = "crafiq"
ACCESS_COOKIE = "__Host-crafiq_access"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid access token says."""

    account: UUID
    session: UUID
    roles: frozenset[str]
    expires_at: datetime


def mint(
    key: ECKey, account: UUID, session: UUID, *, now: datetime, expires_at: datetime, roles: Iterable[str] = ()
) -> str:
    """Sign an access token with `key` (P-256, has a `kid`)."""
    raise NotImplementedError


class Revocations:
    """Sessions that ended before their tokens; fed by SessionRevoked, consulted at each check."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def add(self, session: UUID, until: datetime) -> None:
        """From now on no token of `session` is valid; forgotten after `until`, when the last one expired."""
        raise NotImplementedError

    def __contains__(self, session: object) -> bool:
        raise NotImplementedError


class AccessTokens:
    """Verifies access tokens; keeps what it verified for 60 s at most.

    `fetch` gives identity's JWKS as JSON bytes; asked when a `kid` is unknown, once a second at most.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Clock, revocations: Revocations) -> None:
        self._fetch, self._clock, self._revocations = fetch, clock, revocations

    async def verify(self, token: str) -> Claims | None:
        """The claims of a valid token; None if it is malformed, forged, expired or revoked."""
        raise NotImplementedError
