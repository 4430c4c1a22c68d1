"""Every RPC as every kind of caller, from the descriptors: a new RPC can't be forgotten."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import grpc.aio
from crafiq.options.v1 import options_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from joserfc.jwk import ECKey

from chassis.rpc import mint
from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from promises.holder import DATA_HOLDER

SERVICES = ("identity", "assets", "generation", "billing", "privacy")
DEADLINE = 20  # seconds; nothing takes one, but a busy machine may
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """Each service's name with each of its RPCs, those that every service offers too."""
    for service in SERVICES:
        module = importlib.import_module(f"crafiq.{service}.v1.{service}_pb2")
        for descriptor in (*module.DESCRIPTOR.services_by_name.values(), DATA_HOLDER):
            for method in descriptor.methods:
                yield service, method


def access(method: MethodDescriptor) -> Any:
    """What the RPC declares."""
    return method.GetOptions().Extensions[options_pb2.access]


def path(method: MethodDescriptor) -> str:
    """The RPC's gRPC path."""
    return f"/{method.containing_service.full_name}/{method.name}"


@dataclass
class Doors:
    """The services' own doors: their ports, and channels that show any of our certificates."""

    state: Path

    def __post_init__(self) -> None:
        processes = json.loads((self.state / "processes.json").read_text())
        self._ports = {each["name"]: each["port"] for each in processes}
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}

    def channel(self, service: str, certificate: str) -> grpc.aio.Channel:
        """A channel to `service` as the holder of `certificate`; empty for none at all."""
        key = service, certificate
        if key not in self._channels:
            self._channels[key] = self._open(service, certificate)
        return self._channels[key]

    def _open(self, service: str, certificate: str) -> grpc.aio.Channel:
        authority = (self.state / "tls" / service / "ca.crt").read_bytes()
        if certificate:
            # An operator's is made when an operator first needs it.
            own = Certificates(StateFolder(self.state)).folder(certificate)
            pair = (own / "tls.key").read_bytes(), (own / "tls.crt").read_bytes()
        else:
            pair = None, None
        credentials = grpc.ssl_channel_credentials(authority, *pair)
        options = [("grpc.ssl_target_name_override", f"{service}.crafiq.internal")]
        return grpc.aio.secure_channel(f"127.0.0.1:{self._ports[service]}", credentials, options)

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()

    async def call(
        self,
        service: str,
        method: MethodDescriptor,
        certificate: str,
        token: str = "",
        asked: Message | None = None,
        **headers: str,
    ) -> grpc.StatusCode:
        """The status that a request gets, by default an empty one."""
        request = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)
        channel = self.channel(service, certificate)
        ways = [
            "stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming)
        ]
        kind = "_".join(ways)
        ask = getattr(channel, kind)(path(method), request.SerializeToString, answer.FromString)
        metadata = [*headers.items(), *([("authorization", f"Bearer {token}")] if token else [])]
        message = asked or request()
        sent: Any = iter([message]) if method.client_streaming else message
        call = ask(sent, timeout=DEADLINE, metadata=metadata)
        try:
            if method.server_streaming:
                await call.read()
                call.cancel()
            else:
                await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


class Tokens:
    """Tokens good and bad, signed with identity's own key or a stranger's."""

    def __init__(self, state: Path) -> None:
        pem = sorted((state / "secrets" / "identity" / "signing").glob("*.pem"))[-1]
        self._key = ECKey.import_key(pem.read_bytes(), {"kid": pem.stem})
        self._stranger = ECKey.generate_key("P-256", {"kid": pem.stem})

    def _mint(self, key: ECKey, account: UUID, **times: timedelta) -> str:
        now = datetime.now(UTC) + times.get("shift", timedelta())
        return mint(key, account, uuid4(), now=now, expires_at=now + timedelta(minutes=5))

    def good(self, account: UUID) -> str:
        """As identity makes them."""
        return self._mint(self._key, account)

    def expired(self, account: UUID) -> str:
        """It was good an hour ago."""
        return self._mint(self._key, account, shift=timedelta(hours=-1))

    def forged(self, account: UUID) -> str:
        """Somebody else signed it under the same key id."""
        return self._mint(self._stranger, account)

    def elsewhere(self, account: UUID) -> str:
        """Good, for another audience."""
        from joserfc import jwt  # noqa: PLC0415 - only this one is made by hand

        now = datetime.now(UTC)
        claims = {
            "iss": "crafiq-identity",
            "aud": "somewhere-else",
            "sub": f"accounts/{account}",
            "sid": f"sessions/{uuid4()}",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 300,
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self._key.kid}, claims, self._key)
