"""Events on the bus: `crafiq.<service>.v1.<Event>.<account uuid>`, names only, past tense."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from google.protobuf.message import Message
from nats.aio.client import Client


def account_of(event: Message) -> UUID:
    """The account that an event is about; raises ValueError if its `account` is not `accounts/{uuid}`."""
    raise NotImplementedError


def subject_of(event: Message) -> str:
    """The subject that an event is published on."""
    raise NotImplementedError


def stream_of(source: str) -> str:
    """The JetStream stream of a service: its name in capitals."""
    return source.upper()


async def connect(url: str, service: str, password: str, tls_dir: Path | None) -> Client:
    """Connect to NATS as `service`; keeps trying for ever, also at start. Close it with `drain()`.

    `tls_dir` has ca.crt; None is for tests on a plain socket.
    """
    raise NotImplementedError
