"""SeaweedFS: bytes in its volumes that no object has, as when it is killed amid a deletion or an upload."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from cli.local import Storage
from deploy.local import binaries
from deploy.local.processes import environment
from deploy.local.seaweed import OPERATOR

UPLOAD = 3600.0
"""Seconds after which what no object has belongs to no upload that is under way."""
PATIENCE = 600  # seconds for as many objects as there are
BEGIN = re.compile(r"^working directory: .*$", re.MULTILINE)
PIECE = re.compile(r"^[\w.-]*:(\d+,[0-9a-f]+)$", re.MULTILINE)
TOTAL = re.compile(r"^Total\s+entries:\d+\s+orphan:\d+\s+\S+\s+(\d+)B$", re.MULTILINE)


class OrphansNotFoundOut(Exception):
    """The server's own check did not say what no object has; the message has its last words."""


@dataclass(frozen=True)
class Orphans:
    """Bytes that no object had; how many pieces of them were still there after they were removed."""

    size: int
    left: int


NONE = Orphans(0, 0)


async def forget_orphans(storage: Storage) -> Orphans:
    """Delete from volumes what no object has; a vacuum takes its bytes.

    The filer hands deletions on a second later, until then it has them in its memory alone; an upload's bytes
    come before its name. Either leaves bytes behind if the server is killed, which no vacuum takes.

    Not touched is what an upload may have brought that is under way: bytes that are newer than the server's
    start (no upload outlives it), if that is known, and than an hour.

    Raises OrphansNotFoundOut, TimeoutError.
    """
    older = f"-cutoffTimeAgo={max(0.001, min(UPLOAD, time.time() - storage.started)):.3f}s"
    check = f"volume.fsck -v {older}"
    said = await _shell(storage, "lock", check, f"{check} -reallyDeleteFromVolume", check, "unlock")
    match BEGIN.split(said):
        case [_, before, _, after] if "error:" not in said and (total := TOTAL.search(before)):
            # What somebody deletes meanwhile is the filer's to hand on.
            left = set(PIECE.findall(before)) & set(PIECE.findall(after))
            return Orphans(int(total[1]), len(left))
        case _:
            raise OrphansNotFoundOut(f"its check said: {said[-300:].strip() or 'nothing'}")


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
