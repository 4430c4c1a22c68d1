"""Argon2id (RFC 9106, OWASP's first choice of parameters) in threads of its own."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.identity.domain.refusals import PasswordChecksBusy

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords: 19 MiB, two passes, one lane, about 17 ms each.

    Two threads do the work, because Argon2 releases the GIL and the loop stays free; at most
    `waiting` more may wait. Raises PasswordChecksBusy beyond that.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 32) -> None:
        self._argon2 = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most, self._inside = threads + waiting, 0
        # What is checked for an address that nobody has: the same work, never the right answer.
        self._nobody = self._argon2.hash("", salt=bytes(16))

    async def hash(self, password: str, salt: bytes) -> str:
        """The encoded hash (PHC string) of `password` with a salt of 16 bytes."""
        return await self._run(lambda: self._argon2.hash(_bytes(password), salt=salt))

    async def matches(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one; without a hash the same work is done and the answer is no."""
        return await self._run(lambda: self._check(encoded or self._nobody, password)) and encoded is not None

    def _check(self, encoded: str, password: str) -> bool:
        try:
            return self._argon2.verify(encoded, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._inside >= self._most:
            raise PasswordChecksBusy(retry_after=timedelta(seconds=1))
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1


def _bytes(password: str) -> bytes:
    # The same password typed on two keyboards may come composed or decomposed (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password).encode()
