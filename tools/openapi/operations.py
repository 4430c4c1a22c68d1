"""One operation of the document for each HTTP rule of an RPC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tools.gateway.surface import Binding, Rpc
from tools.openapi import failures, parameters
from tools.openapi.examples import Examples
from tools.openapi.paths import Path
from tools.openapi.schemas import Schemas
from tools.openapi.types import Types, type_of
from tools.openapi.writable import ETAG, writable

Json = dict[str, Any]
_SENTENCE_END = re.compile(r"[.:;](?: |$)")
HTTP_BODY = "google.api.HttpBody"
EVENTS = "text/event-stream"
LAST_EVENT = "last_event_id"
SIGNED_IN: list[Json] = [{"bearer": []}, {"cookie": []}]
EVENT_EXAMPLE = 'id: 1\nevent: state\ndata: {"state":"RUNNING"}\n\n: heartbeat\n\n'
# What the bytes of an HttpBody are is known to the service alone.
CONTENT_TYPES = {"GetJwks": "application/jwk-set+json"}


@dataclass(frozen=True)
class Operations:
    """Makes them; the schemas that they refer to are gathered in `schemas`."""

    types: Types
    schemas: Schemas
    examples: Examples

    def operation(self, rpc: Rpc, binding: Binding, path: Path, operation_id: str) -> Json:
        """The operation object of one binding."""
        description = self.types.comment(f"{rpc.full_service}.{rpc.name}")
        made: Json = {
            "operationId": operation_id,
            "tags": [rpc.service],
            "summary": _SENTENCE_END.split(description)[0],
            "description": "\n\n".join(filter(None, [description, *_bounds(rpc)])),
            "security": [] if rpc.public else SIGNED_IN,
        }
        if found := self._parameters(rpc, binding, path):
            made["parameters"] = found
        if binding.body:
            made["requestBody"] = self._body(rpc, binding, path)
        made["responses"] = self._responses(rpc, binding)
        made["x-rpc"] = f"{rpc.full_service}/{rpc.name}"
        made["x-purpose"] = rpc.purpose
        made["x-rate-limit"] = {"perMinute": rpc.per_minute, "per": "address" if rpc.public else "person"}
        return made

    def _parameters(self, rpc: Rpc, binding: Binding, path: Path) -> list[Json]:
        maker = parameters.Parameters(self.types, self.schemas, self.examples)
        found = [maker.in_path(rpc.request, each) for each in path.parameters]
        if binding.body != "*":
            taken = {parameter.field for parameter in path.parameters} | {binding.body}
            found += maker.in_query(rpc.request, taken)
        if any(field.name == LAST_EVENT for field in self.types.messages[rpc.request].field):
            found.append(maker.in_header(rpc.request, LAST_EVENT, "Last-Event-ID"))
        return found

    def _body(self, rpc: Rpc, binding: Binding, path: Path) -> Json:
        """A body is the whole request, or one field of it (`within`)."""
        message, within, what = rpc.request, "", rpc.request
        if binding.body != "*":
            message = type_of(self.types.field(rpc.request, binding.body))
            within, what = f"{binding.body}.", f"{rpc.request}.{binding.body}"
        if message == HTTP_BODY:
            return {"required": True, "content": {"*/*": {"schema": {}}}}
        only = writable(self.types, rpc.request, binding.body)
        fields = only or {field.name for field in self.types.messages[message].field}
        fields -= {p.field.removeprefix(within) for p in path.parameters if p.field.startswith(within)}
        name = f"{rpc.service}.{rpc.name}Body"
        schema = self.schemas.body(message, name, fields)
        example = self.examples.message(message, only=fields - {ETAG})
        return {
            "description": self.types.comment(what),
            "required": bool(within) or "required" in self.schemas.components[name],
            "content": {"application/json": {"schema": schema, "example": example}},
        }

    def _responses(self, rpc: Rpc, binding: Binding) -> Json:
        has_input = bool(self.types.messages[rpc.request].field)
        statuses = failures.statuses_of(rpc, binding.method, has_input=has_input, has_body=bool(binding.body))
        named = {status: failures.failures()[status].name for status in statuses}
        return {
            "200": self._answer(rpc),
            **{str(status): _response(name) for status, name in named.items()},
            failures.ELSE: _response("Other"),
        }

    def _answer(self, rpc: Rpc) -> Json:
        headers: Json = {"X-Request-Id": failures.REQUEST_ID}
        if rpc.response == HTTP_BODY and rpc.streams:
            events: Json = {"schema": self._event(rpc), "example": EVENT_EXAMPLE}
            return {"description": "Server-sent events.", "headers": headers, "content": {EVENTS: events}}
        if rpc.response == HTTP_BODY:
            kind = CONTENT_TYPES.get(rpc.name, "*/*")
            schema: Json = {"type": "object"} if kind.endswith("json") else {}
            return {"description": "As it is.", "headers": headers, "content": {kind: {"schema": schema}}}
        schema, example = self.schemas.answer(rpc.response), self.examples.message(rpc.response)
        if rpc.streams:
            schema, example = {"type": "array", "items": schema}, [example]
        content: Json = {"application/json": {"schema": schema, "example": example}}
        described = self.types.comment(rpc.response) or "Done."
        return {"description": described, "headers": headers, "content": content}

    def _event(self, rpc: Rpc) -> Json:
        """What each event of a stream has; `WatchGeneration` shows a Generation."""
        watched = f"{rpc.full_service.rpartition('.')[0]}.{rpc.name.removeprefix('Watch')}"
        data: Json = {"type": "string", "contentMediaType": "application/json"}
        if watched in self.types.messages:
            data["contentSchema"] = self.schemas.answer(watched)
        return {
            "type": "object",
            "description": "One event, as EventSource reads it (HTML standard, 9.2).",
            "properties": {
                "id": {"type": "string", "description": "To be sent as `Last-Event-ID`."},
                "event": {"type": "string", "description": "`state`; `error` and `reauth` end the stream."},
                "data": data,
            },
            "required": ["event", "data"],
        }


def _bounds(rpc: Rpc) -> list[str]:
    """What the schema cannot say."""
    role = [f"For staff with the role `{rpc.role}`."] if rpc.role else []
    who = "address" if rpc.public else "person"
    return [*role, f"At most {rpc.per_minute} calls a minute by one {who}."]


def _response(name: str) -> Json:
    return {"$ref": f"#/components/responses/{name}"}
