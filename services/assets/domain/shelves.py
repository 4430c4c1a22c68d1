"""Where a person's objects lie: on a shelf of their own, so that storage itself can say what is left of them.

The first part of an object's key follows from the account, the rest is random. Storage keeps the two
apart by a slash. Who has a key but not the account's number learns nothing from it.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

_DIGITS = 20  # of 32: 74 bits tell shelves apart, 48 the objects on one
_END = 32 - _DIGITS


def shelf_of(account: UUID) -> str:
    """The shelf of a person: 20 hex digits."""
    digits = list(hashlib.sha256(b"crafiq shelf " + account.bytes).hexdigest()[:_DIGITS])
    digits[12] = "8"  # the version and the variant that RFC 9562 has for ids of one's own making
    digits[16] = "89ab"[int(digits[16], 16) % 4]
    return "".join(digits)


def key_on_shelf(account: UUID, chance: UUID) -> UUID:
    """A new key for an object of a person."""
    return UUID(shelf_of(account) + chance.hex[_DIGITS:])


def bounds(account: UUID) -> tuple[UUID, UUID]:
    """The least and the greatest key on a person's shelf."""
    shelf = shelf_of(account)
    return UUID(shelf + "0" * _END), UUID(shelf + "f" * _END)


def path_of(key: UUID) -> str:
    """Where storage has the object of a key."""
    return f"{key.hex[:_DIGITS]}/{key.hex[_DIGITS:]}"


def key_at(path: str) -> UUID:
    """The key of what storage has there; raises ValueError for what is none of ours."""
    key = UUID(path.replace("/", ""))
    if path_of(key) != path:
        raise ValueError("not the path of a key")
    return key
