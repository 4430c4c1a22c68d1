"""`status`: what runs, at a glance."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli import queues
from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError, print_table
from deploy.local.fleet import start_ticks
from deploy.local.state import StateFolder

NOT_RUNNING = 3  # as the Linux Standard Base has it for `status`
HEAD = ("process", "state", "pid", "port", "memory", "uptime", "restarts")


def status() -> int:
    """Print processes, queues and versions; answers 0 if the platform is up, 3 if not."""
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
    print_table([HEAD, *rows], left=2)
    print()
    try:
        local = Local.find(state)
        asyncio.run(queues.show(local))
    except NotUpError as down:
        print(down)
        return NOT_RUNNING
    print(f"\n{_endpoints(local)}")
    for line in proofs(state):
        print(line)
    return 0


def _endpoints(local: Local) -> str:
    gateway, inbox = local.endpoints["gateway"], local.endpoints["inbox"]
    return f"Gateway  {gateway}\nInbox    {inbox}/\nLogs     {local.state.root / 'logs'}"


def proofs(state: StateFolder) -> Iterator[str]:
    """How the last scrub and the last canary ended."""
    for title, name, inner in (("Scrub", "scrub.json", "last"), ("Canary", "canary.json", None)):
        try:
            kept = json.loads((state.root / name).read_text(encoding="utf-8"))
            said = kept[inner] if inner else kept
        except (OSError, ValueError):
            yield f"{title:<8} never ran here: `make {title.lower()}`"
            continue
        ended = said["ended"][:19].replace("T", " ")
        outcome = "found nothing" if said["clean"] else "FOUND SOMETHING, or could not do everything"
        yield f"{title:<8} {ended} UTC, {outcome}"


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
