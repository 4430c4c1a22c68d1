"""The public API as its descriptors have it: every RPC that a person can reach, and how each is called."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
from crafiq.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor

from cli import grpc_web
from cli.api import Api, Json, ServerSentEvent
from deploy.local.infra import SERVICES

OUTSIDE = (options_pb2.AUDIENCE_USER, options_pb2.AUDIENCE_PUBLIC)
_VARIABLE = re.compile(r"\{[^}]+\}")


def rpcs() -> dict[str, MethodDescriptor]:
    """Every RPC that is reachable from outside, as `assets.GetAsset`."""
    return dict(_rpcs())


def _rpcs() -> Iterator[tuple[str, MethodDescriptor]]:
    for service in SERVICES:
        module = importlib.import_module(f"crafiq.{service}.v1.{service}_pb2")
        for descriptor in module.DESCRIPTOR.services_by_name.values():
            for method in descriptor.methods:
                if method.GetOptions().Extensions[options_pb2.access].audience in OUTSIDE:
                    yield f"{service}.{method.name}", method


class Caller:
    """Calls RPCs by their names, as one person, over HTTP, and remembers which it used."""

    def __init__(self, http: aiohttp.ClientSession, gateway: str, headers: dict[str, str]) -> None:
        self.api = Api(http, gateway)
        self._http, self._gateway, self._headers = http, gateway, dict(headers)
        for name, value in headers.items():
            self.api.send(name, value)
        self._rpcs = rpcs()
        self.used: set[str] = set()

    @property
    def unused(self) -> list[str]:
        """What nobody called yet."""
        return sorted(set(self._rpcs) - self.used)

    def sign_in_with(self, access_token: str) -> None:
        """Call as whoever has this token."""
        self._headers["authorization"] = f"Bearer {access_token}"
        self.api.sign_in_with(access_token)

    async def ask(self, rpc: str, of: str = "", **fields: Any) -> Json:
        """Call an RPC about the thing named `of` (`assets/{uuid}`); raises ApiRefused."""
        method, path, body = self._form(rpc, of, fields)
        return await self.api.call(method, path, body)

    async def text(self, rpc: str, of: str = "") -> str:
        """The answer as it is."""
        _, path, _ = self._form(rpc, of, {})
        return await self.api.text(path)

    async def watch(self, rpc: str, of: str) -> list[ServerSentEvent]:
        """Every event of a stream, to its end."""
        _, path, _ = self._form(rpc, of, {})
        return [event async for event in self.api.events(path)]

    async def grpc_web(self, rpc: str, **fields: Any) -> list[Json]:
        """Every message of a stream that only gRPC-Web clients read."""
        self.used.add(rpc)
        method = self._rpcs[rpc]
        request = json_format.ParseDict(fields, message_factory.GetMessageClass(method.input_type)())
        path = f"{self._gateway}/{method.containing_service.full_name}/{method.name}"
        answer = await grpc_web.call(self._http, path, request, self._headers)
        made = message_factory.GetMessageClass(method.output_type)
        return [json_format.MessageToDict(made.FromString(each)) for each in answer.messages]

    def _form(self, rpc: str, of: str, fields: Json) -> tuple[str, str, Json | None]:
        """Method, path and body, by the RPC's HTTP rule."""
        self.used.add(rpc)
        rule = self._rpcs[rpc].GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        path = _VARIABLE.sub(of, getattr(rule, verb))
        if rule.body == "*":
            return verb.upper(), path, fields
        query = {} if rule.body else {k: _spelled(v) for k, v in fields.items()}
        if "update_mask" in self._rpcs[rpc].input_type.fields_by_name:
            query = {"updateMask": ",".join(fields)}
        return verb.upper(), f"{path}?{urlencode(query)}" if query else path, fields if rule.body else None


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
