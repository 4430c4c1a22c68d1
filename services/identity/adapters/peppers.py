"""The peppers: a key for each month, in files outside of databases and their backups, destroyed on their day.

What was hashed with one can't be told from noise once it is gone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from chassis.clock import Clock
from services.identity.domain.remembered import NameKind, keyed_hash
from services.identity.domain.rows import FRAUD

log = logging.getLogger(__name__)
BYTES = 32


class Peppers:
    """The folder `<YYYY-MM>.key`; `random(n)` gives n random bytes."""

    def __init__(self, folder: Path, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._folder, self._clock, self._random = folder, clock, random

    def of(self, at: datetime) -> bytes | None:
        """The pepper of the month of a time; None if it is destroyed, or was never made.

        This month's is made when it is first asked for.
        """
        month = at.astimezone(UTC).strftime("%Y-%m")
        if month == self._clock.now().astimezone(UTC).strftime("%Y-%m"):
            self._make(month)
        path = self._folder / f"{month}.key"
        return path.read_bytes() if path.exists() else None

    def hashes(self, kind: NameKind, name: str) -> list[bytes]:
        """What may be kept of an address or user name: its keyed hash with each month's pepper."""
        peppers = [path.read_bytes() for path in self._folder.glob("*.key")]
        return [keyed_hash(pepper, kind, name) for pepper in peppers]

    def destroy(self) -> int:
        """Remove those whose time is over, for good; answers how many."""
        now, destroyed = self._clock.now(), 0
        for path in self._folder.glob("*.key"):
            ends = FRAUD.ends(datetime.strptime(path.stem, "%Y-%m").replace(tzinfo=UTC))
            if ends is not None and ends <= now:
                _overwrite(path)
                path.unlink(missing_ok=True)
                destroyed += 1
                log.info("the pepper of %s is destroyed", path.stem)
        return destroyed

    def _make(self, month: str) -> None:
        """Several processes may do it at once: the first one's stays."""
        path, scratch = self._folder / f"{month}.key", self._folder / f".{month}.{os.getpid()}.new"
        if path.exists():
            return
        with open(scratch, "wb", opener=_private) as file:  # needs the opener
            file.write(self._random(BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _overwrite(path: Path) -> None:
    with suppress(FileNotFoundError), path.open("r+b") as file:
        file.write(bytes(BYTES))
        file.flush()
        os.fsync(file.fileno())
