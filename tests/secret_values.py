"""Every secret of a state folder, and what its processes were told where others can read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.processes import command_line, environment_of, family

NAMES = "_access_key"
"""How files end that hold the name of an S3 identity and no secret."""
MADE_OF_OTHERS = {".conf", ".toml", ".json"}
"""Configurations: each secret in them is a file of its own as well."""


def secrets_of(state: Path) -> dict[bytes, str]:
    """Passwords, tokens and keys, and which file each is from: `secrets`, `peppers`, the keys of `tls`."""
    files = [
        *(path for path in (state / "secrets").rglob("*") if path.suffix not in MADE_OF_OTHERS),
        *(state / "peppers").rglob("*.key"),
        *(state / "tls").rglob("*.key"),
    ]
    return {
        value: f"{path.relative_to(state)}"
        for path in files
        if path.is_file() and not path.name.endswith(NAMES)
        for value in _values(path.read_bytes())
    }


def _values(content: bytes) -> Iterator[bytes]:
    """What is secret in a file: a key's lines, the password of a URL, all of anything else."""
    if b"-----BEGIN" in content:
        yield from (line for line in content.splitlines() if line and not line.startswith(b"-----"))
    elif found := re.match(rb"\w+://[^:/@]+:([^@]+)@", content):
        yield found[1]
    else:
        yield content.strip()


def told_to(pid: int, into: Path) -> Path:
    """A file with the command line and the environment of a process and of all that it started."""
    lines = [f"{command_line(each)} {environment_of(each)}" for each in family({pid})]
    into.write_text("\n".join(lines), encoding="utf-8")
    return into
