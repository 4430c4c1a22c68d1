"""Access tokens: JWTs (RFC 9068, ES256) that every service verifies itself."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from chassis.clock import Clock
from chassis.errors import Unavailable
from chassis.rpc.calls import GATEWAY, Caller

ISSUER = "crafiq-identity"
AUDIENCE = "crafiq"
ACCESS_COOKIE = "__Host-crafiq_access"
TYPE = "at+jwt"
CACHED_FOR = timedelta(seconds=60)
CLOCKS_DIFFER = timedelta(seconds=5)
LONGEST_LIFE = timedelta(minutes=5)
"""No access token lives longer, so what happened to its session before can't matter."""
KEYS_FOR = LONGEST_LIFE  # for as long a key that identity withdrew is trusted
KEYS_AT_MOST_EVERY = timedelta(seconds=1)


def mint(
    key: ECKey,
    account: UUID,
    session: UUID,
    *,
    now: datetime,
    expires_at: datetime,
    roles: Iterable[str] = (),
) -> str:
    """Sign an access token with `key` (P-256, has a `kid`); times are cut to seconds."""
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"accounts/{account}",
        "sid": f"sessions/{session}",
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    if roles := sorted(roles):
        claims["roles"] = roles
    return jwt.encode({"alg": "ES256", "typ": TYPE, "kid": key.kid}, claims, key, algorithms=["ES256"])


class Revocations:
    """Sessions and accounts that ended before their tokens; fed by identity's events, asked at each check."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[UUID, datetime] = OrderedDict()  # in about the order of their ends

    def add(self, session: UUID, until: datetime) -> None:
        """From now on no token of `session` is valid; forgotten after `until`, when the last one expired."""
        now = self._clock.now()
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        self._until[session] = until
        self._until.move_to_end(session)

    def add_account(self, account: UUID, until: datetime) -> None:
        """From now on no token of any session of `account` is valid; forgotten as a session is."""
        self.add(account, until)  # both are random: none is ever taken for the other

    def __contains__(self, name: object) -> bool:
        return name in self._until

    def ended(self, caller: Caller) -> bool:
        """Whether the caller's session or account has ended."""
        return bool(self._until) and (caller.session in self._until or caller.account in self._until)


class AccessTokens:
    """Verifies access tokens; keeps the last `size` that it verified for 60 s at most.

    `fetch` gives identity's JWKS as JSON bytes; asked when a `kid` is unknown, once a second at most,
    and every 5 minutes, so that a withdrawn key ends.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        clock: Clock,
        revocations: Revocations,
        *,
        size: int = 10_000,
    ) -> None:
        self._fetch, self._clock, self._revocations, self._size = fetch, clock, revocations, size
        self._cache: OrderedDict[str, tuple[Caller, datetime]] = OrderedDict()
        self._keys: dict[str, ECKey] = {}
        self._fetching = asyncio.Lock()
        self._asked = datetime.min.replace(tzinfo=UTC)

    def known(self, token: str) -> Caller | None:
        """Who holds a token verified in the last minute and not revoked since; without awaiting."""
        kept = self._cache.get(token)
        if kept is None or kept[1] <= self._clock.now() or self._revocations.ended(kept[0]):
            return None
        self._cache.move_to_end(token)
        return kept[0]

    async def verify(self, token: str) -> Caller | None:
        """Who holds a valid token; None if it is malformed, forged, expired or revoked.

        Raises Unavailable if the keys can't be had: then nobody knows whether it is valid.
        """
        now = self._clock.now()
        caller = await self._checked(token, now)
        if caller is None or self._revocations.ended(caller):
            return None
        self._keep(token, caller, now)
        return caller

    def _keep(self, token: str, caller: Caller, now: datetime) -> None:
        while self._cache and (len(self._cache) >= self._size or next(iter(self._cache.values()))[1] <= now):
            self._cache.popitem(last=False)
        self._cache[token] = caller, min(caller.expires_at or now, now + CACHED_FOR)

    def alive(self, caller: Caller) -> bool:
        """Whether a credential that was valid still is."""
        expired = caller.expires_at is not None and caller.expires_at <= self._clock.now()
        return not expired and not self._revocations.ended(caller)

    async def _checked(self, token: str, now: datetime) -> Caller | None:
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") != "ES256" or header.get("typ") != TYPE:
                return None
            key = await self._key(str(header.get("kid")), now)
            return None if key is None else _read(jwt.decode(token, key, algorithms=["ES256"]).claims, now)
        except (JoseError, ValueError, KeyError, TypeError, OverflowError):
            return None

    async def _key(self, kid: str, now: datetime) -> ECKey | None:
        def needed() -> bool:
            age = now - self._asked
            return age >= KEYS_FOR or (kid not in self._keys and age >= KEYS_AT_MOST_EVERY)

        if needed():
            async with self._fetching:
                if needed():
                    try:
                        self._keys = await self._current_keys()
                    finally:
                        # Not before: who comes meanwhile has to wait for the keys, not go without.
                        self._asked = self._clock.now()
        if not self._keys:
            raise Unavailable
        return self._keys.get(kid)

    async def _current_keys(self) -> dict[str, ECKey]:
        try:
            keys = KeySet.import_key_set(json.loads(await self._fetch())).keys
        except Exception as error:
            if self._keys:
                return self._keys
            raise Unavailable from error
        return {key.kid: key for key in keys if isinstance(key, ECKey) and key.kid}


def _read(claims: dict[str, Any], now: datetime) -> Caller | None:
    """Who it is, if the claims are for us and for now; KeyError, TypeError or ValueError if malformed."""
    issued, expires = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
    if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE or expires <= now or issued > now + CLOCKS_DIFFER:
        return None
    account, session = str(claims["sub"]), str(claims["sid"])
    if not (account.startswith("accounts/") and session.startswith("sessions/")):
        return None
    roles = frozenset(str(role) for role in claims.get("roles", ()))
    return Caller(GATEWAY, UUID(account[9:]), UUID(session[9:]), roles, expires)
