"""Real servers for the benches that store something, and the bare side's connections to them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from deploy.local.infra import Infra
from tests.bench.rows import Row

Measured = Callable[[Infra], Coroutine[Any, Any, list[Row]]]


def on_servers(*benches: Measured) -> list[Row]:
    """Start the servers, run these one after the other, stop the servers."""
    return asyncio.run(_on_servers(benches))


async def _on_servers(benches: tuple[Measured, ...]) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="crafiq-bench-", ignore_cleanup_errors=True) as folder:
        async with Infra(Path(folder)) as infra:
            for bench in benches:
                # The launcher needs asyncio's own loop, services run on uvloop: that gets a thread.
                rows += await asyncio.to_thread(uvloop.run, bench(infra))
    return rows


def bare_pool(url: str, size: int) -> Any:
    """asyncpg's own pool, with no more round trips than ours: it resets nothing either."""
    return asyncpg.create_pool(url, min_size=size, max_size=size, reset=_keep)


async def _keep(_connection: Any) -> None:
    """Nothing that outlives a transaction is set here."""
