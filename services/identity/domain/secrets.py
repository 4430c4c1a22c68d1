"""Secrets that identity hands out: long random texts of which only a keyed hash is kept."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable

TOKEN_BYTES = 32
REFRESH_PREFIX = "crt_"


class Secrets:
    """Makes tokens and their keyed hashes (HMAC-SHA256).

    `key` has 32 bytes and stands outside the database, so that a stolen database opens nothing;
    `random(n)` gives n random bytes.
    """

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        if len(key) < 32:
            raise ValueError("the token key needs 32 bytes")
        self._key, self.random = key, random

    def mail_token(self) -> str:
        """256 random bits for a link in a mail."""
        return _text(self.random(TOKEN_BYTES))

    def refresh_token(self) -> str:
        """256 random bits, marked so that secret scanners recognise them."""
        return REFRESH_PREFIX + _text(self.random(TOKEN_BYTES))

    def successor(self, token: str, seed: bytes) -> str:
        """The refresh token that follows `token`: the same for everyone who shows it, unknown to others.

        It needs the key, the random `seed` that its row got when it was rotated, and the token:
        two tabs get the same successor, and it need not be kept in between.
        """
        return REFRESH_PREFIX + _text(self._mac(b"successor", seed + token.encode()))

    def hash(self, purpose: str, text: str) -> bytes:
        """What is kept of a secret, or of a text that is only to be recognised: 32 bytes."""
        return self._mac(purpose.encode(), text.encode())

    def _mac(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.new(self._key, purpose + b"\x00" + message, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
