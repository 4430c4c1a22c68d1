"""Draws a file in a process that is started for it, knows and can open nothing, and ends with it."""

from __future__ import annotations

import asyncio
import os
import re
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from services.assets.adapters import drawing
from services.assets.domain.renditions import KINDS

SECONDS = 90.0
"""How long one file may take, whatever it waits for."""
LARGEST = 8 * 1024 * 1024
"""Bytes that may come out, all pictures together."""
_ROOT = Path(__file__).resolve().parents[3]
# All that it is told: no folder of secrets, no address, no home.
_ENVIRONMENT = {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1"}
_SAID = re.compile(r"[A-Za-z.]{1,60}")


class RenderingFailed(Exception):
    """It crashed, was stopped, or said something else than pictures; says in a word what."""


class Renderer:
    """Starts processes; `seconds` is how long each may take."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    async def draw(self, content_type: str, content: AsyncGenerator[bytes, None]) -> list[bytes]:
        """A picture of each kind, or none if the file is no picture of anything.

        Raises RenderingFailed, and what `content` raises.
        """
        boxes = (str(kind.box) for kind in KINDS)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", drawing.__name__, str(os.getpid()), content_type, *boxes,
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRONMENT, cwd="/",
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._seconds):
                return await _drawn(process, content)
        except TimeoutError:
            raise RenderingFailed("too slow") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _drawn(process: Process, content: AsyncGenerator[bytes, None]) -> list[bytes]:
    reading = asyncio.create_task(_read(process))
    try:
        await _feed(process, content)
        pictures = await reading
    finally:
        reading.cancel()
    status = await process.wait()
    if status == drawing.NOTHING:
        return []
    if status or len(pictures) != len(KINDS):
        raise RenderingFailed(f"{status} {await _said(process)}")
    return pictures


async def _feed(process: Process, content: AsyncGenerator[bytes, None]) -> None:
    """Hand the file on as it comes; a process that ended does not want the rest."""
    assert process.stdin is not None
    async with aclosing(content):
        async for part in content:
            if process.stdin.is_closing():  # what uvloop says to a write then is no OSError
                return
            try:
                process.stdin.write(part)
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                return
    process.stdin.close()


async def _read(process: Process) -> list[bytes]:
    assert process.stdout is not None
    answer = bytearray()
    while part := await process.stdout.read(1 << 16):
        answer += part
        if len(answer) > LARGEST:
            raise RenderingFailed("too much")
    pictures, at = [], 0
    while at < len(answer):
        (size,) = struct.unpack_from(">I", answer.ljust(at + 4, b"\0"), at)
        pictures.append(bytes(answer[at + 4 : at + 4 + size]))
        at += 4 + size
    return pictures


async def _said(process: Process) -> str:
    """The name of the error, which is all that may be logged of it."""
    assert process.stderr is not None
    found = _SAID.search((await process.stderr.read(200)).decode(errors="replace"))
    return found[0] if found else "nothing"
