"""docker-compose.yml as Docker would read it: anchors resolved, variables at their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")

Json = dict[str, Any]


def compose() -> Json:
    """The whole file. A variable without a default would leave its `$` for the tests to find."""
    loaded: Json = yaml.safe_load(_VARIABLE.sub(r"\1", FILE.read_text(encoding="utf-8")))
    return loaded


def seconds(duration: str) -> float:
    """`15s` is 15."""
    return float(duration.removesuffix("s"))


def mounts(process: Json) -> dict[str, tuple[str, bool]]:
    """What stands where in a container: path inside -> what it is outside, whether it may be written."""
    found = {}
    for volume in process.get("volumes", []):
        source, target, *mode = volume.split(":")
        found[target] = (source, mode != ["ro"])
    return found


def waits_for(services: Json, name: str) -> set[str]:
    """Everything that has to be there, done or healthy, before a process starts."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in services[waiting.pop()].get("depends_on", {}):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found
