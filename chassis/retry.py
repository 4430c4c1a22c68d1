"""The two retry policies that are allowed. What costs money is not retried by either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def reading(call: Callable[[], Awaitable[T]], *, within: float) -> T:
    """Run an idempotent `call`, up to 3 times in `within` seconds, if it fails for a passing reason.

    Passing reasons: Unavailable, gRPC UNAVAILABLE, connection errors, timeouts. Waits are jittered.
    The last error is raised as it is.
    """
    raise NotImplementedError


async def connecting(call: Callable[[], Awaitable[T]], *, within: float = 30.0) -> T:
    """At start: run `call` until what it needs is there, or raise its last error after `within` seconds."""
    raise NotImplementedError
