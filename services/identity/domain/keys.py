"""Which signing key signs and which still verify; a rule about times, without files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ACCESS_LIFETIME = timedelta(minutes=5)
# The gateway and the services may be this much ahead or behind.
CLOCK_SKEW = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class KeyAge:
    """A key's id and since when it is there."""

    kid: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Ring:
    """The id of the key that signs, and of all that verify, newest first."""

    signs: str
    verify: tuple[str, ...]


def ring(keys: Sequence[KeyAge], now: datetime, lead: timedelta) -> Ring:
    """Order the keys: the newest that was published for `lead` signs, the first one at once.

    A key is published before it signs, because those who verify keep the set for a while. A key
    that was succeeded verifies until no token that it signed can live. Raises ValueError without keys.
    """
    if not keys:
        raise ValueError("there is no signing key")
    newest = sorted(keys, key=lambda k: (k.since, k.kid), reverse=True)
    signer = next((i for i, k in enumerate(newest) if k.since + lead <= now), len(newest) - 1)
    verify = [k.kid for k in newest[: signer + 1]]
    for successor, key in zip(newest[signer:], newest[signer + 1 :], strict=False):
        if now < successor.since + lead + ACCESS_LIFETIME + CLOCK_SKEW:
            verify.append(key.kid)
    return Ring(newest[signer].kid, tuple(verify))
