"""Events on the bus: `crafiq.<service>.v1.<Event>.<account uuid>`, names only, past tense."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.errors import Error as BusError

LOG = logging.getLogger("crafiq.bus")
ACCOUNTS = "accounts/"


def account_of(event: Message) -> UUID:
    """The account that an event is about; raises ValueError if its `account` is not `accounts/{uuid}`."""
    name: str = getattr(event, "account", "")
    if not name.startswith(ACCOUNTS):
        raise ValueError(f"{event.DESCRIPTOR.full_name} names no account.")
    return UUID(name.removeprefix(ACCOUNTS))


def subject_of(event: Message) -> str:
    """The subject that an event is published on."""
    return f"{event.DESCRIPTOR.full_name}.{account_of(event)}"


def stream_of(source: str) -> str:
    """The JetStream stream of a service: its name in capitals."""
    return source.upper()


async def connect(url: str, service: str, password: str, tls_dir: Path | None) -> Client:
    """Connect to NATS as `service`; keeps trying for ever, also at start. Close it with `leave`.

    `tls_dir` has ca.crt, tls.crt and tls.key; None is for a plain socket.
    """
    options: dict[str, Any] = {}
    if tls_dir is not None:
        options["tls"] = ssl.create_default_context(cafile=tls_dir / "ca.crt")
        options["tls"].load_cert_chain(tls_dir / "tls.crt", tls_dir / "tls.key")
    return await nats.connect(
        url,
        name=service,
        user=service,
        password=password,
        # Each user may listen below its own prefix only, so that nobody reads another's answers.
        inbox_prefix=f"_INBOX_{service}",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        connect_timeout=2,
        error_cb=_heard,
        **options,
    )


async def leave(bus: Client) -> None:
    """End a connection when what was sent has arrived, or at once if the bus is away."""
    try:
        await bus.drain()
    except BusError:
        await bus.close()


async def _heard(error: Exception) -> None:
    LOG.warning("the bus says: %s", error)
