"""Ports on loopback: the same as last time if they are free, else others."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable

from deploy.local.state import StateFolder, write_private

# Below the kernel's ephemeral range, so that no outgoing connection takes a port in between.
LOWEST, HIGHEST = 20_000, 31_999
TRIES = 200


class PortTaken(Exception):
    """A port that was asked for by number is in use."""


class Ports:
    """Chooses ports and holds them until the process that wants one is about to start."""

    def __init__(self, state: StateFolder, announce: Callable[[str], None], chance: random.Random) -> None:
        self._file = state.ports
        self._announce = announce
        self._chance = chance
        self._held: dict[str, socket.socket] = {}
        self.chosen: dict[str, int] = {}
        self._earlier: dict[str, int] = {}

    def load(self) -> None:
        """Remember what was chosen last time."""
        if self._file.exists():
            self._earlier.update(json.loads(self._file.read_text(encoding="utf-8")))

    def take(self, name: str) -> int:
        """A port for `name`: last time's, or any."""
        earlier = self._earlier.get(name)
        if earlier and self._hold(name, earlier):
            return earlier
        for _ in range(TRIES):
            port = self._chance.randint(LOWEST, HIGHEST)
            if port not in self._earlier.values() and self._hold(name, port):
                if earlier:
                    self._announce(f"Port {earlier} is taken; {name} listens on {port} instead.")
                return port
        raise PortTaken(f"No free port between {LOWEST} and {HIGHEST} for {name}.")

    def take_exactly(self, name: str, port: int) -> int:
        """This port and no other; raises PortTaken."""
        if not self._hold(name, port):
            setting = f"CRAFIQ_{name.upper()}_PORT"
            raise PortTaken(f"Port {port}, which {setting} asks for, is taken: free it or name another.")
        return port

    def take_near(self, name: str, first: int) -> int:
        """Last time's port, else `first`, else the next free one above it."""
        earlier = self._earlier.get(name, first)
        candidates: list[int] = [earlier, *range(first, first + TRIES)]
        for port in candidates:
            if self._hold(name, port):
                if port != earlier:
                    self._announce(f"Port {earlier} is taken; {name} listens on {port} instead.")
                return port
        raise PortTaken(f"No free port between {first} and {first + TRIES - 1} for {name}.")

    def release(self, *names: str) -> None:
        """Let go of ports whose process starts now."""
        for name in names:
            held = self._held.pop(name, None)
            if held is not None:
                held.close()

    def close(self) -> None:
        """Let go of all."""
        self.release(*list(self._held))

    def save(self) -> None:
        """Remember what was chosen for the next start."""
        write_private(self._file, json.dumps({**self._earlier, **self.chosen}, indent=1, sort_keys=True))

    def _hold(self, name: str, port: int) -> bool:
        for reuse in (False, True):  # connections of the last run may still be in TIME_WAIT
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                held.close()
                continue
            self._held[name], self.chosen[name] = held, port
            return True
        return False
