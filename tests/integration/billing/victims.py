"""Processes that are killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


@asynccontextmanager
async def killed_once(
    what: str, database: str, url: str, account: UUID, erasure: UUID
) -> AsyncIterator[None]:
    """A process of billing that does `what` (see victim.py), killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.billing.victim",
        what, database, url, str(account), str(erasure),
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        yield
    finally:
        assert process.returncode is None, "it ended before it was killed"
        process.kill()
        await process.wait()
