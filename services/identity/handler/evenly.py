"""Answers that take the same time whatever is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.errors import Refusal

SIGN_UP_TAKES = 0.12
REFUSAL_TAKES = 0.08


@asynccontextmanager
async def taking_at_least(seconds: float, *, only_refusals: bool = False) -> AsyncIterator[None]:
    """Leave the block no sooner than `seconds` after it was entered, by answer or by refusal.

    Argon2 is the bulk of the work and is done for known and unknown addresses alike; what remains
    are a few statements of difference, and they disappear in the wait.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    try:
        yield
    except Refusal:
        await asyncio.sleep(max(0.0, end - loop.time()))
        raise
    if not only_refusals:
        await asyncio.sleep(max(0.0, end - loop.time()))
