"""A change that must not be lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from chassis.retry import reading

T = TypeVar("T")
COMMIT_SECONDS = 20.0


async def committing(change: Callable[[], Awaitable[T]]) -> T:
    """Run a change that must not be lost while the database is away for a moment; it bears repetition."""
    return await reading(change, within=COMMIT_SECONDS)
