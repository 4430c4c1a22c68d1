"""What the kernel says of processes: who listens where, who is whose child, what each was told."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from deploy.local.fleet import start_ticks

WAITS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for anybody, by its table in /proc/net."""
ACCEPTS = 0x10000
"""The flag of a Unix socket that somebody listens on, in /proc/net/unix."""


class Listener(NamedTuple):
    """An open port; `protocol` is tcp or udp, an IPv4 address is one in IPv6's clothes too."""

    protocol: str
    address: str
    port: int


def written_down(state: Path) -> dict[str, int]:
    """The processes of a running platform, by name."""
    return {entry["name"]: int(entry["pid"]) for entry in json.loads((state / "processes.json").read_text())}


def family(pids: Iterable[int]) -> dict[int, int]:
    """These processes and all that they started, with the time at which each began."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    members = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return {pid: ticks for pid in members if (ticks := start_ticks(pid)) is not None}


def alive(members: dict[int, int]) -> list[int]:
    """Those of a family that are still there; a number that the kernel gave to another does not count."""
    return [pid for pid, ticks in members.items() if start_ticks(pid) == ticks]


def command_line(pid: int) -> str:
    """What `ps` shows to everybody; nothing if there is no such process (any more)."""
    return _told(pid, "cmdline")


def environment_of(pid: int) -> str:
    """What stands in its environment, as its own user and root can read it."""
    return _told(pid, "environ")


def _told(pid: int, what: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def listening(pids: Iterable[int]) -> set[Listener]:
    """Where these processes and all that they started take connections, or datagrams from anybody."""
    inodes, found = _inodes(pids), set()
    for table, state in WAITS.items():
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == state and columns[9] in inodes:
                address, _, port = columns[1].partition(":")
                found.add(Listener(table[:3], _spelled(address), int(port, 16)))
    return found


def _spelled(address: str) -> str:
    """The kernel writes an address as hex, each four bytes of it backwards."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return str(getattr(found, "ipv4_mapped", None) or found)


def listening_sockets(pids: Iterable[int]) -> set[str]:
    """The Unix sockets on which they do; one without a file begins with an @."""
    inodes = _inodes(pids)
    lines = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {line[7] for line in lines if int(line[3], 16) & ACCEPTS and line[6] in inodes}


def _inodes(pids: Iterable[int]) -> set[str]:
    """The sockets that these processes, and all that they started, have open."""
    found = set()
    for pid in family(pids):
        with contextlib.suppress(OSError):  # it ended meanwhile
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # it closed it meanwhile
                    found.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    return found
