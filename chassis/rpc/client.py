"""Channels to peers: mutual TLS, the peer's name checked, a deadline on every call, the trace carried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import grpc.aio

from chassis import telemetry
from chassis.rpc.server import MAX_MESSAGE

DEADLINE = 5.0
"""Seconds a call to a peer may take if the caller says nothing else."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A peer that restarts is found again at once, not after the two minutes gRPC may wait.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class PeerChannel:
    """What generated stubs need of a channel; adds deadline and trace context to every call.

    A wrapper and not an interceptor: those cost grpc.aio a task a call.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.unary_unary = self._bounded(channel.unary_unary)
        self.unary_stream = self._bounded(channel.unary_stream)
        self.stream_unary = self._bounded(channel.stream_unary)
        self.stream_stream = self._bounded(channel.stream_stream)

    async def close(self) -> None:
        """Close it; calls under way are cancelled."""
        await self._channel.close()

    @staticmethod
    def _bounded(make: Callable[..., Any]) -> Callable[..., Any]:
        def multicallable(*args: Any, **kwargs: Any) -> Callable[..., Any]:
            call = make(*args, **kwargs)

            def invoke(*request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
                bound = DEADLINE if timeout is None else timeout
                return call(*request, timeout=bound, metadata=_traced(metadata), **rest)

            return invoke

        return multicallable


def _traced(metadata: Any) -> Any:
    current = telemetry.traceparent()
    return (*(metadata or ()), ("traceparent", current)) if current else metadata


class Peers:
    """Channels to other services, opened when first asked for. `addresses` are `host:port` by name."""

    def __init__(self, addresses: Mapping[str, str], tls_dir: Path) -> None:
        self._addresses, self._tls_dir = addresses, tls_dir
        self._channels: dict[str, PeerChannel] = {}

    def __getitem__(self, name: str) -> grpc.aio.Channel:
        if name not in self._channels:
            if name not in self._addresses:
                raise LookupError(f"CRAFIQ_PEERS has no address of {name}.")
            self._channels[name] = PeerChannel(open_channel(self._addresses[name], self._tls_dir, name))
        # Generated stubs are typed for the class; all they use of it are the four methods.
        return cast(grpc.aio.Channel, self._channels[name])

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()


def open_channel(address: str, tls_dir: Path, peer: str) -> grpc.aio.Channel:
    """A channel to `peer`, whose certificate has to be made out to `<peer>.crafiq.internal`.

    gRPC shows clients no certificate to look into, so the name it can check stands for the URI SAN.
    """
    key, chain, ca = ((tls_dir / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", f"{peer}.crafiq.internal"))
    return grpc.aio.secure_channel(address, credentials, options=options)
