"""What tests of every service need; never imported by product code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import grpc.aio

from chassis.clock import Clock
from chassis.service import Service

T = TypeVar("T")


async def eventually(
    check: Callable[[], T | Awaitable[T]], *, timeout: float = 5.0, every: float = 0.02
) -> T:
    """Call `check` until it returns something true (and raises no AssertionError); fail after `timeout` s."""
    raise NotImplementedError


class FakeClock(Clock):
    """A clock that tests move: `clock.forward(timedelta(days=1))`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def forward(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by


class Certificates:
    """A throwaway CA in a folder of its own; `folder(name)` is a service's `tls_dir`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, name: str) -> Path:
        """`ca.crt`, `tls.crt`, `tls.key` for spiffe://crafiq/svc/<name>; made on first use."""
        raise NotImplementedError


class Tokens:
    """Mints access tokens as identity would; `jwks` is what its services fetch."""

    def access(
        self, account: UUID, session: UUID | None = None, *, lives: timedelta = timedelta(minutes=5), roles: tuple[str, ...] = ()
    ) -> str:
        """A token for an account, signed now by the real clock unless one was given."""
        raise NotImplementedError

    async def jwks(self) -> bytes:
        """The public keys as JSON."""
        raise NotImplementedError


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[str]:
    """Serve an entered service in this process until the block ends; yields its address."""
    raise NotImplementedError
    yield ""


@asynccontextmanager
async def calling(address: str, certificates: Certificates, *, to: str, as_: str = "gateway") -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service `to`, with the certificate of `as_`; a user's token goes into the metadata."""
    raise NotImplementedError
    yield Any
