"""Is it there yet: the questions that tell when a server is ready."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

Probe = Callable[[], Awaitable[bool]]


def accepts(port: int) -> Probe:
    """Something listens on this port of 127.0.0.1."""

    async def probe() -> bool:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(0)
            try:
                await asyncio.wait_for(loop.sock_connect(client, ("127.0.0.1", port)), 1)
            except (OSError, TimeoutError):
                return False
        return True

    return probe


def answers(url: str, status: int = 200, socket_path: Path | None = None) -> Probe:
    """A GET of this URL, over a Unix socket if one is named, is answered with this status."""

    async def probe() -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
            over = aiohttp.UnixConnector(str(socket_path)) if socket_path else None
            async with (
                aiohttp.ClientSession(connector=over, timeout=aiohttp.ClientTimeout(total=2)) as http,
                http.get(url) as answer,
            ):
                return answer.status == status
        return False

    return probe
