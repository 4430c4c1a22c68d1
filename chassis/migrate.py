"""Migrations: each service's own history (`services/<name>/migrations/versions`), run before it serves."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import MetaData


async def upgrade(url: str, folder: Path) -> None:
    """Bring the database to the newest revision in `folder`; one process at a time, others wait.

    Each statement may wait 4 s for a lock and run 5 s: the old code is still serving (house rule 16).
    """
    raise NotImplementedError


async def drift(url: str, metadata: MetaData) -> list[str]:
    """How the database differs from the metadata, one line each; empty if it does not."""
    raise NotImplementedError
