"""SeaweedFS: bytes in its volumes that no object has, as when it is killed amid a deletion or an upload.

The filer hands deletions on a second later, and until then has them in its memory alone; an upload's bytes
come before its name. Either leaves bytes behind if the server is killed, which no vacuum takes. The server's
own check (`volume.fsck`) compares what is in volumes with what the filer knows.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from cli.local import Storage
from deploy.local import binaries
from deploy.local.processes import environment, tied_to
from deploy.local.seaweed import OPERATOR

SPARED = 3600
"""Seconds. Assets takes nothing in that was begun 45 minutes before (`UPLOAD_OPEN`), and everything else is
written in one request, in seconds: what is older and has no object will never have one."""
PATIENCE = 600  # seconds for as many objects as there are
BEGIN = re.compile(r"^working directory: .*$", re.MULTILINE)
PIECE = re.compile(r"^[\w.-]*:(\d+,[0-9a-f]+)$", re.MULTILINE)
TOTAL = re.compile(r"^Total\s+entries:\d+\s+orphan:\d+\s+\S+\s+(\d+)B$", re.MULTILINE)
CHECK = "volume.fsck -v -cutoffTimeAgo={}s"


class OrphansNotFoundOut(Exception):
    """The server's own check did not say what no object has; the message has its last words."""


@dataclass(frozen=True)
class Pieces:
    """What has no object: what was deleted for it, and its bytes; what was spared, because it is young."""

    deleted: frozenset[str] = frozenset()
    size: int = 0
    spared: frozenset[str] = frozenset()

    def among(self, found: frozenset[str]) -> Pieces:
        """Those of them that were found again."""
        return Pieces(self.deleted & found, self.size, self.spared & found)


async def delete_orphans(storage: Storage) -> Pieces:
    """Delete from volumes what no object has, but for what an upload may have brought that is under way.

    A vacuum takes its bytes. Raises OrphansNotFoundOut, TimeoutError.
    """
    old = CHECK.format(SPARED)
    first, second, _ = await _check(storage, CHECK.format(0), old, f"{old} -reallyDeleteFromVolume")
    everything, deleted = _pieces(first), _pieces(second)
    return Pieces(deleted, _size(second), everything - deleted)


async def still_there(storage: Storage, pieces: Pieces) -> Pieces:
    """Those that are there a while later: what else was on its way has arrived, or gone.

    Raises OrphansNotFoundOut, TimeoutError.
    """
    (found,) = await _check(storage, CHECK.format(0))
    _size(found)
    return pieces.among(_pieces(found))


async def _check(storage: Storage, *checks: str) -> list[str]:
    """What each check said."""
    said = await _shell(storage, "lock", *checks, "unlock")
    _, *parts = BEGIN.split(said)
    if len(parts) != len(checks) or "error:" in said:
        raise OrphansNotFoundOut(f"its check said: {said[-300:].strip() or 'nothing'}")
    return parts


def _pieces(said: str) -> frozenset[str]:
    return frozenset(PIECE.findall(said))


def _size(said: str) -> int:
    total = TOTAL.search(said)
    if total is None:
        raise OrphansNotFoundOut(f"its check said: {said[-300:].strip() or 'nothing'}")
    return int(total[1])


async def _shell(storage: Storage, *commands: str) -> str:
    """What `weed shell` says to commands, errors as well."""
    master, filer = (_both(storage.at, name) for name in ("master", "filer"))
    with TemporaryDirectory() as folder:  # it writes down the names of all objects meanwhile
        process = await asyncio.create_subprocess_exec(
            *(str(binaries.script("weed")), "shell", f"-master={master}", f"-filer={filer}"),
            cwd=storage.state.folder("secrets", "s3", OPERATOR),  # its certificate is looked for here
            env=environment(TMPDIR=folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=tied_to(os.getpid(), signal.SIGKILL),
        )
        try:
            async with asyncio.timeout(PATIENCE):
                said, _ = await process.communicate("\n".join([*commands, ""]).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return said.decode(errors="replace")


def _both(at: Mapping[str, str], listener: str) -> str:
    """As the shell wants it: host:port.port, the second for gRPC."""
    return f"{at[listener]}.{at[f'{listener}.grpc'].rpartition(':')[2]}"
