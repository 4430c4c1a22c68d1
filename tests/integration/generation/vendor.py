"""The stand-in for OpenAI, served in this process, as tests steer and read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.openai.app import create_app

KEY = "sk-sandbox-of-a-test"


@dataclass(frozen=True)
class OpenAISandbox:
    """`url` ends in /v1."""

    url: str
    http: aiohttp.ClientSession

    async def fault(self, *faults: dict[str, Any]) -> None:
        """Switch on these faults and no others."""
        async with self.http.put(f"{self._control}/faults", json=list(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def requests(self, prompt: str) -> list[dict[str, Any]]:
        """What was received with this prompt, oldest first."""
        async with self.http.get(f"{self._control}/requests") as answer:
            return [row for row in await answer.json() if row["prompt"] == prompt]

    @property
    def _control(self) -> str:
        return f"{self.url.removesuffix('/v1')}/sandbox"


@asynccontextmanager
async def openai_sandbox() -> AsyncIterator[OpenAISandbox]:
    """Serve it on a free port of loopback."""
    runner = web.AppRunner(create_app(KEY, lambda: datetime.now(UTC)), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    headers = {"authorization": f"Bearer {KEY}"}
    try:
        async with aiohttp.ClientSession(headers=headers) as http:
            yield OpenAISandbox(f"http://127.0.0.1:{port}/v1", http)
    finally:
        await runner.cleanup()
