"""Markers: for each field a value that stands nowhere else in the world, told by the field's name."""

from __future__ import annotations

import base64
import hmac
import secrets
from uuid import UUID

from cli.search import Sought

LENGTH = 26
"""Letters and digits of a marker: 128 bits."""


class Markers:
    """All follow from one random key, which is never sent anywhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._given: dict[str, str] = {}

    def word(self, field: str) -> str:
        """The marker of a field: lower-case letters and digits, a letter first."""
        digest = base64.b32encode(self._digest(field)).decode().lower()
        return self.told(field, f"c{digest[: LENGTH - 1]}")

    def uuid(self, field: str) -> str:
        """The marker of a field that takes a UUID."""
        return self.told(field, str(UUID(bytes=self._digest(field)[:16], version=4)))

    def told(self, field: str, value: str) -> str:
        """A value that the platform made for this person, such as a token: looked for as well."""
        self._given[field] = value
        return value

    @property
    def given(self) -> list[Sought]:
        """Every marker that was used, by its field."""
        return [Sought(field, value.encode()) for field, value in self._given.items()]

    def _digest(self, field: str) -> bytes:
        return hmac.digest(self._key, field.encode(), "sha256")
