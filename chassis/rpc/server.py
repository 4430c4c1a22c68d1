"""The server: mutual TLS, our handlers, health, reflection, drain."""

from __future__ import annotations

from pathlib import Path

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.rpc import contract
from chassis.rpc.wrap import Surroundings, Wrapped

MAX_MESSAGE = 4 * 1024 * 1024  # bytes; a request is in memory before anything checks it
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # More than the gateway lets through (32 KiB), which refuses the rest in our words; gRPC counts more.
    ("grpc.max_metadata_size", 48 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a second server
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


class RpcServer:
    """Serves what it is offered to holders of our certificates.

    Health and reflection are open to every one of them; everything else to whom `access` names.
    """

    def __init__(self, tls_dir: Path, around: Surroundings) -> None:
        self._tls_dir, self._around = tls_dir, around
        self._server = grpc.aio.server(options=OPTIONS)
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        self.health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)

    def offer(self, descriptor: ServiceDescriptor, handler: object) -> None:
        """Serve a gRPC service. Raises TypeError for what does not match, or an RPC without `access`."""
        contract.verify(descriptor, handler)
        wrapped = {method.name: Wrapped(method, handler, self._around) for method in descriptor.methods}
        handlers = {name: each.method_handler() for name, each in wrapped.items()}
        # Not registered one by one as well, as generated code does: grpc.aio is 15 us slower a call then.
        generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        self._names.append(descriptor.full_name)

    async def start(self, listen: str) -> str:
        """Serve on `host:port` (0: any free port); answers the address. Raises OSError if it is taken."""
        reflection.enable_server_reflection(self._names, self._server)
        try:
            port = self._server.add_secure_port(listen, server_credentials(self._tls_dir))
        except RuntimeError as error:
            raise OSError(
                f"{listen} is taken: stop what listens there, or set another CRAFIQ_LISTEN."
            ) from error
        await self._server.start()
        for name in ("", *self._names):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return f"{listen.rpartition(':')[0]}:{port}"

    async def drain(self, grace: float) -> None:
        """Say NOT_SERVING, refuse new calls, let those in hand finish for `grace` seconds."""
        await self.health.enter_graceful_shutdown()
        await self._server.stop(grace)


def server_credentials(tls_dir: Path) -> grpc.ServerCredentials:
    """Our certificate, and the demand for one of our CA's."""
    key, chain, ca = ((tls_dir / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=ca, require_client_auth=True)
