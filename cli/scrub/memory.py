"""What a scrub remembers for the next one: counters of tables, how it ended. No value of anyone's."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cli.scrub.rewriting import Signatures
from deploy.local.state import StateFolder, write_private

FILE = "scrub.json"


class UnderWay(Exception):
    """Another scrub of this platform has not ended."""


@dataclass
class Memory:
    """`scrub.json` in the state folder."""

    path: Path
    signatures: dict[str, Signatures] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: StateFolder) -> Self:
        """What was remembered; nothing at first."""
        path = state.root / FILE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return cls(path)
        return cls(path, kept["signatures"], kept["last"])

    def save(self) -> None:
        """Remember it."""
        text = json.dumps({"last": self.last, "signatures": self.signatures}, indent=1)
        write_private(self.path, text)


@contextmanager
def alone(state: StateFolder) -> Iterator[None]:
    """One scrub at a time; raises UnderWay. The kernel ends it, however the process does."""
    descriptor = os.open(state.folder() / "scrub.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UnderWay("A scrub is under way already; this one is not needed.") from None
    try:
        yield
    finally:
        os.close(descriptor)
