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
from tenacity.stop import stop_base

from chassis.errors import Aborted, Unavailable

T = TypeVar("T")


def passing(error: BaseException) -> bool:
    """Whether an error may be gone a moment later: no answer, no connection, too slow."""
    if isinstance(error, grpc.RpcError):
        return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
    return isinstance(error, (Unavailable, Aborted, OSError, TimeoutError, asyncpg.CannotConnectNowError))


def growing(tries: int, longest: float) -> float:
    """Seconds to wait after so many tries of what waits in a queue: 0.5, 1, 2, ... up to `longest`."""
    return min(0.25 * 2.0 ** min(tries, 20), longest)


async def reading(call: Callable[[], Awaitable[T]], *, within: float) -> T:
    """Run an idempotent `call`, up to 3 times in `within` seconds, if it fails for a passing reason.

    Passing reasons: Unavailable, Aborted, gRPC's of the same name, connection errors, timeouts. Waits
    are jittered, up to 0.1, 0.2 s. The last error is raised as it is.
    """
    return await _repeated(call, stop_after_attempt(3) | stop_after_delay(within))


async def connecting(call: Callable[[], Awaitable[T]], *, within: float = 30.0) -> T:
    """Run an idempotent `call` until what it needs is there, or raise its last error after `within` seconds.

    At start, and for what is paid for already. Waits are jittered and grow up to a second.
    """
    return await _repeated(call, stop_after_delay(within))


async def _repeated(call: Callable[[], Awaitable[T]], stop: stop_base) -> T:
    waits = wait_random_exponential(multiplier=0.1, max=1)
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(passing), stop=stop, wait=waits, reraise=True
    ):
        with attempt:
            # Not `policy(call)`: tenacity awaits coroutine functions only, and no lambda that answers one.
            return await call()
    raise AssertionError("a policy ends with an answer or an error")
