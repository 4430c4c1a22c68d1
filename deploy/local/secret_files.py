"""Secrets, one file each: made on the first run, kept, readable by their owner only."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from deploy.local.state import StateFolder, write_private


def password() -> str:
    """A new password of 192 bits without characters that need quoting anywhere."""
    return secrets.token_urlsafe(24).replace("-", "a").replace("_", "b")


def key() -> str:
    """A new key of 32 bytes, in hex."""
    return secrets.token_hex(32)


class SecretFiles:
    """`secrets/<owner>/<name>` below the state folder: folders of mode 700, files of mode 600."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    def folder(self, owner: str) -> Path:
        """Where the secrets of one process stand: its `CRAFIQ_SECRETS_DIR`."""
        return self._state.folder("secrets", owner)

    def get(self, owner: str, name: str, make: Callable[[], str] = password) -> str:
        """The secret, made now if there is none."""
        path = self.folder(owner) / name
        if not path.exists():
            write_private(path, make())
        return path.read_text(encoding="utf-8")

    def put(self, owner: str, name: str, value: str) -> Path:
        """Set a secret that follows from others; answers its file."""
        path = self.folder(owner) / name
        if not path.exists() or path.read_text(encoding="utf-8") != value:
            write_private(path, value)
        return path
