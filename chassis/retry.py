"""The two retry policies that are allowed. What costs money is not retried by either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import grpc
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from chassis.errors import Aborted, Unavailable

T = TypeVar("T")


def passing(error: BaseException) -> bool:
    """Whether an error may be gone a moment later: no answer, no connection, too slow."""
    if isinstance(error, grpc.RpcError):
        return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
    return isinstance(error, (Unavailable, Aborted, OSError, TimeoutError, asyncpg.CannotConnectNowError))


async def reading(call: Callable[[], Awaitable[T]], *, within: float) -> T:
    """Run an idempotent `call`, up to 3 times in `within` seconds, if it fails for a passing reason.

    Passing reasons: Unavailable, Aborted, gRPC's of the same name, connection errors, timeouts. Waits
    are jittered, up to 0.1, 0.2 s. The last error is raised as it is.
    """
    tries = stop_after_attempt(3) | stop_after_delay(within)
    waits = wait_random_exponential(multiplier=0.1, max=1)
    policy = AsyncRetrying(retry=retry_if_exception(passing), stop=tries, wait=waits, reraise=True)
    return await policy(_awaiting(call))


async def connecting(call: Callable[[], Awaitable[T]], *, within: float = 30.0) -> T:
    """At start: run `call` until what it needs is there, or raise its last error after `within` seconds."""
    waits = wait_random_exponential(multiplier=0.1, max=1)
    policy = AsyncRetrying(
        retry=retry_if_exception(passing), stop=stop_after_delay(within), wait=waits, reraise=True
    )
    return await policy(_awaiting(call))


def _awaiting(call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """As a coroutine function: of anything else tenacity would hand back the awaitable, not await it."""

    async def attempt() -> T:
        return await call()

    return attempt


def _awaiting(call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    # tenacity awaits only what it recognises as a coroutine function; a lambda that returns one is none.
    async def awaiting() -> T:
        return await call()

    return awaiting
