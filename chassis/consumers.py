"""Durable consumers: batches, each message's effect committed once with the claim of its id.

    def subscriptions(self) -> list[Subscription]:
        return [Subscription("identity", events_pb2.AccountVerified, self.on_account_verified)]

    async def on_account_verified(self, tx: Transaction, event: events_pb2.AccountVerified) -> None: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from nats.aio.client import Client

from chassis.db import Database, Transaction


@dataclass(frozen=True)
class Subscription:
    """When service `source` announces `event`, run `handle` in a transaction, once.

    `handle` may be run again after a failure whose transaction was rolled back; it does no I/O of its own.
    A Refusal that asking again can't change makes a dead letter; anything else is tried again,
    later and later, ten times in all.
    """

    source: str
    event: type[Message]
    handle: Callable[[Transaction, Any], Awaitable[None]]


class Consumers:
    """The durable consumers of one service, one for each source."""

    def __init__(self, service: str, db: Database, bus: Client, subscriptions: Sequence[Subscription]) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Consume until cancelled; a batch in hand is finished first. Waits for streams that are not there yet."""
        raise NotImplementedError
