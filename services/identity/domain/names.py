"""Addresses and names as people type them, and as they are compared."""

from __future__ import annotations

import unicodedata

from services.identity.domain.refusals import NameNotAllowed

# Unicode categories that have no place in a name: controls, invisible format characters (bidi
# overrides among them, UAX #9), surrogates, private use, unassigned, line and paragraph separators.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# The zero-width joiner and non-joiner are format characters that Persian, Hindi and emoji need.
_NEEDED = frozenset({"\u200c", "\u200d"})


def comparable(text: str) -> str:
    """An address or user name as it is compared: trimmed, lower case."""
    return text.strip().lower()


def display_name(text: str) -> str | None:
    """A display name as it is kept: NFC, trimmed; None if nothing is left. Raises NameNotAllowed."""
    if any(unicodedata.category(c) in _FORBIDDEN and c not in _NEEDED for c in text):
        raise NameNotAllowed(violations=[("displayName", "has control or direction characters")])
    return unicodedata.normalize("NFC", text).strip() or None


def user_name(text: str) -> str | None:
    """A user name as it is kept; None if there is none. Its characters are checked by the proto's rule."""
    return text.strip() or None
