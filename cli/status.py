"""`status`: what runs, at a glance."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.lifecycle import WRONG_SETTINGS, settings
from deploy.local.fleet import start_ticks
from deploy.local.state import StateFolder

NOT_RUNNING = 3  # as the Linux Standard Base has it for `status`
HEAD = ("process", "state", "pid", "port", "memory", "uptime", "restarts")


def status() -> int:
    """Print processes, ports, memory and uptime; answers 0 if the platform is up, 3 if not."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    state = StateFolder(told.state)
    launcher = state.holder()
    if launcher is None:
        print(f"Nothing runs in {state.root}: `make up` starts it.")
        return NOT_RUNNING
    children = _children()
    rows = [_row({"name": "launcher", "pid": launcher, "ticks": start_ticks(launcher)}, {})]
    rows += [_row(entry, children) for entry in json.loads(state.processes.read_text(encoding="utf-8"))]
    _print_table(rows)
    ready = state.endpoints.exists()
    print(f"\n{_endpoints(state) if ready else 'Not everything is up yet.'}")
    return 0 if ready else NOT_RUNNING


def _endpoints(state: StateFolder) -> str:
    found = json.loads(state.endpoints.read_text(encoding="utf-8"))
    return f"Gateway  {found['gateway']}\nInbox    {found['inbox']}/\nLogs     {state.root / 'logs'}"


def _row(entry: dict[str, Any], children: dict[int, list[int]]) -> tuple[str, ...]:
    pid = entry["pid"]
    alive = entry["ticks"] is not None and start_ticks(pid) == entry["ticks"]
    memory = sum(_memory(each) for each in _tree(pid, children)) if alive else 0
    return (
        entry["name"],
        "running" if alive else "restarting",
        str(pid),
        str(entry.get("port") or "socket" if entry["name"] != "launcher" else "-"),
        f"{memory / 1024:.0f} MB",
        _uptime(entry["ticks"]) if alive else "-",
        str(entry.get("restarts", "-")),
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    table = [HEAD, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    for row in table:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _uptime(ticks: int) -> str:
    seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        children[parent].append(int(path.parent.name))
    return children


def _tree(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, []):
        yield from _tree(child, children)


def _memory(pid: int) -> int:
    """Kilobytes, with what is shared divided among those that share it (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
