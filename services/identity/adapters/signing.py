"""The keys that sign access tokens: ES256 PEM files in a folder, read again when they change."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from chassis.clock import Clock
from chassis.rpc.tokens import AUDIENCE, ISSUER
from services.identity.domain.keys import KeyAge, Ring, ring

log = logging.getLogger(__name__)

REREAD = timedelta(minutes=1)
REAUTH_TYPE = "reauth+jwt"


class SigningKeys:
    """The folder `<kid>.pem`; the file's time of modification is the key's beginning.

    To rotate, add a file: it is published at once and signs after `lead`, by when everyone who
    keeps the key set (the gateway, for 5 minutes) has it. A file may be removed when the log says
    that its key retired; removing it earlier ends its tokens at once, which is what a leak needs.
    """

    def __init__(self, folder: Path, clock: Clock, *, lead: timedelta = timedelta(minutes=10)) -> None:
        self._folder, self._clock, self._lead = folder, clock, lead
        self._keys: dict[str, ECKey] = {}
        self._ages: list[KeyAge] = []
        self.reload()

    def reload(self) -> None:
        """Read the folder again. Raises ValueError if it has no key or a bad one; the old ones stay then."""
        keys, ages = {}, []
        for path in sorted(self._folder.glob("*.pem")):
            keys[path.stem] = _p256(path)
            ages.append(KeyAge(path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC)))
        ring(ages, self._clock.now(), self._lead)
        self._keys, self._ages = keys, ages

    def signer(self) -> ECKey:
        """The key that signs now."""
        return self._keys[self._ring().signs]

    def reauth_token(self, account: UUID, session: UUID, *, now: datetime, expires_at: datetime) -> str:
        """The proof that somebody authenticated again: a JWT of its own type, no access token."""
        key = self.signer()
        header = {"alg": "ES256", "kid": key.kid, "typ": REAUTH_TYPE}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"accounts/{account}",
            "sid": f"sessions/{session}",
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(header, claims, key)

    def proves(self, token: str, account: UUID, session: UUID | None) -> bool:
        """Whether a token is the proof of this session that somebody authenticated again, and still good."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("alg") != "ES256" or header.get("typ") != REAUTH_TYPE:
                return False
            claims = jwt.decode(token, key, algorithms=["ES256"]).claims
            whose = (claims["iss"], claims["aud"], claims["sub"], claims["sid"])
            expires = datetime.fromtimestamp(claims["exp"], UTC)
        except (JoseError, ValueError, KeyError, TypeError, OverflowError):
            return False
        wanted = (ISSUER, AUDIENCE, f"accounts/{account}", f"sessions/{session}")
        return whose == wanted and self._clock.now() < expires

    async def jwks(self) -> bytes:
        """The public keys as a JWK Set (RFC 7517), newest first."""
        keys = [self._keys[kid].as_dict(private=False) for kid in self._ring().verify]
        return json.dumps({"keys": keys}, separators=(",", ":")).encode()

    async def keep_fresh(self) -> None:
        """Read the folder again each minute, until cancelled."""
        while True:
            await asyncio.sleep(REREAD.total_seconds())
            self.reload_or_keep()

    def reload_or_keep(self) -> None:
        """What SIGHUP does: `reload`, but a broken folder is logged and changes nothing."""
        before = set(self._keys)
        try:
            self.reload()
        except (ValueError, OSError) as error:
            log.warning("the signing keys could not be read again: %s", error)
            return
        if before != set(self._keys):
            log.info("signing keys changed: %s signs", self._ring().signs)

    def _ring(self) -> Ring:
        return ring(self._ages, self._clock.now(), self._lead)


def _p256(path: Path) -> ECKey:
    try:
        key = ECKey.import_key(path.read_bytes(), {"kid": path.stem, "use": "sig", "alg": "ES256"})
    except JoseError as error:
        raise ValueError(f"{path.name} is not an EC key") from error
    if key.curve_name != "P-256":
        raise ValueError(f"{path.name} is not on the curve P-256, which ES256 signs with")
    return key
