"""A disk that is full, and has room again: what was answered is there, what was not is asked again."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.chaos.conftest import all_is_well, arrived, in_time
from tests.chaos.load import busy, recovery
from tests.chaos.plan import Fault, Kind
from tests.chaos.rounds import Ground
from tests.running import started
from tests.support import eventually

DISKS = {"nats": ("nats/data", 24), "s3": ("s3", 1024), "postgres": ("postgres", 320)}
"""Where each store has its files, below the state folder, and how many MiB there are for them."""
STARTED_AGAIN = {"nats": Kind.STOP, "s3": Kind.KILL}
"""What met a full disk there (a stream; the filer's own store) takes nothing until they are started again.

SeaweedFS, asked to end, waits for ever for what it can't write."""
FULL = "no space left on device"
CHUNK = 64 * 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("unshare"), reason="only root may mount a small disk"
    ),
]


@contextmanager
def small_disk(state: Path, folder: str, mebibytes: int) -> Iterator[tuple[str, ...]]:
    """What stands before a platform's command so that this folder of its state is a disk of its own.

    The mount is in a namespace of the launcher's, and gone with it however it ends.
    """
    place = state / folder
    place.mkdir(mode=0o700, parents=True)
    mount = f'mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs "$0" && exec "$@"'
    yield "unshare", "--mount", "sh", "-c", mount, str(place)


def fill(folder: Path) -> Path:
    """Write until there is no room; answers the file that has to go."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(CHUNK))
        except OSError:
            return filler


async def _met(ground: Ground, part: str, log: Path) -> bool:
    """Whether it said that there is no room. PostgreSQL says so when it needs another file for its WAL."""
    if part == "postgres":
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with ground.audit.database("identity") as sql:
                await sql.execute("SELECT pg_switch_wal()")
    return FULL in (await asyncio.to_thread(log.read_text)).lower()


@pytest.mark.parametrize("part", DISKS)
async def test_a_full_disk_loses_nothing_that_was_answered(part: str, tmp_path: Path) -> None:
    folder, mebibytes = DISKS[part]
    with small_disk(tmp_path, folder, mebibytes) as before, started(tmp_path, before=before) as running:
        log = tmp_path / "logs" / f"{part}.log"
        inside = Path(f"/proc/{running.process.pid}/root") / (tmp_path / folder).relative_to("/")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
            ground = await Ground.of(running, http)
            worker, probe = await arrived(ground, 2)
            async with busy(worker):
                filler = await asyncio.to_thread(fill, inside)
                await eventually(lambda: _met(ground, part, log), timeout=60, every=0.5)
                filler.unlink()
                if part in STARTED_AGAIN:
                    await ground.injector.inject(Fault(STARTED_AGAIN[part], part, 0))
                took = await recovery(ground.injector, part, probe)
            in_time({part: took})
            assert await ground.stay.everything()
            await all_is_well(ground, worker, probe, ground.stay)
