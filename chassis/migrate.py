"""Migrations: each service's own history (`services/<name>/migrations/versions`), run before it serves."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg

_ONE_AT_A_TIME = 0x6372_6166_6971  # the key of an advisory lock
_REVISION = re.compile(r'^(down_)?revision\b[^=\n]*=\s*["\'](\w+)["\']', re.MULTILINE)


async def upgrade(url: str, folder: Path) -> None:
    """Bring the database to the newest revision in `folder`; one process at a time, others wait.

    A statement may wait 4 s for a lock and run 5 s, because the old code is still serving; raises
    asyncpg's errors, wrapped by SQLAlchemy, and leaves the revisions that succeeded.
    """
    lock = await asyncpg.connect(url)
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _ONE_AT_A_TIME)
        wanted = newest(folder)
        if not wanted or wanted != await _revisions(lock):  # no history at all is alembic's to complain of
            # Alembic is 0.25 s of start-up, and at nearly every start there is nothing for it to do.
            from chassis.revisions import apply  # noqa: PLC0415

            await apply(url, folder)
    finally:
        await lock.close()


async def _revisions(connection: asyncpg.Connection) -> set[str]:
    """What alembic has noted in the database; nothing in a new one."""
    try:
        found = await connection.fetch("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return set()
    return {row["version_num"] for row in found}


def newest(folder: Path) -> set[str]:
    """The revisions that no other one follows, read from the files without running them."""
    found: set[str] = set()
    followed: set[str] = set()
    for path in (folder / "versions").glob("*.py"):
        for down, revision in _REVISION.findall(path.read_text(encoding="utf-8")):
            (followed if down else found).add(revision)
    return found - followed
