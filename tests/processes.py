"""What the kernel says of processes: who listens where, who is whose child."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from deploy.local.fleet import start_ticks

# 127.0.0.1, and the same in IPv6's clothes (::ffff:127.0.0.1), as gRPC opens it.
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def written_down(state: Path) -> dict[str, int]:
    """The processes of a running platform, by name."""
    return {entry["name"]: int(entry["pid"]) for entry in json.loads((state / "processes.json").read_text())}


def family(pids: set[int]) -> dict[int, int]:
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


def listening(pids: set[int]) -> set[str]:
    """The addresses on which these processes listen, in the hex of /proc/net/tcp and tcp6."""
    inodes = set()
    for descriptor in (d for pid in pids for d in Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # closed since
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                found.add(columns[1].split(":")[0])
    return found
