"""Argon2id (RFC 9106, with the parameters that OWASP names first) in threads of its own (docs/adr/0022)."""

from __future__ import annotations

import asyncio
import base64
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from services.identity.domain.refusals import PasswordChecksBusy

T = TypeVar("T")
PASSES, KIBIBYTES, KEY_BYTES = 2, 19 * 1024, 32
NICE = 5
"""How far the threads stand back: the loop runs at once when it has to, although both cores hash."""


class Passwords:
    """Hashes and checks passwords: 19 MiB, two passes, one lane, 12 ms each, 16 ms when two are at it.

    Two threads do the work, because Argon2 releases the GIL and the loop stays free; at most
    `waiting` more may wait. Raises PasswordChecksBusy beyond that.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 32) -> None:
        self._threads = ThreadPoolExecutor(threads, "argon2", os.nice, (NICE,))
        self._most, self._inside = threads + waiting, 0
        # What is checked for an address that nobody has: the same work, never the right answer.
        self._nobody = _encoded("", bytes(16))

    async def hash(self, password: str, salt: bytes) -> str:
        """The encoded hash (PHC string) of `password` with a salt of 16 bytes."""
        return await self._run(lambda: _encoded(password, salt))

    async def matches(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one; without a hash the same work is done and the answer is no."""
        known = self._nobody if encoded is None else encoded
        return await self._run(lambda: self._check(known, password)) and encoded is not None

    def _check(self, encoded: str, password: str) -> bool:
        try:
            return argon2id.verify(encoded.encode(), _bytes(password))
        except CryptoError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._inside >= self._most:
            raise PasswordChecksBusy(retry_after=timedelta(seconds=1))
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1


def _encoded(password: str, salt: bytes) -> str:
    try:
        key = argon2id.kdf(KEY_BYTES, _bytes(password), salt, opslimit=PASSES, memlimit=KIBIBYTES * 1024)
    except CryptoError as error:  # there is no memory for it
        raise PasswordChecksBusy(retry_after=timedelta(seconds=1)) from error
    parts = (base64.b64encode(part).rstrip(b"=").decode() for part in (salt, key))
    return f"$argon2id$v=19$m={KIBIBYTES},t={PASSES},p=1${'$'.join(parts)}"


def _bytes(password: str) -> bytes:
    # The same password typed on two keyboards may come composed or decomposed (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password).encode()
