"""The whole document: what is general about the API, and its operations by path."""

from __future__ import annotations

import json
from typing import Any

from tools.gateway.surface import Rpc, outside, parse
from tools.gateway.tokens import ACCESS_COOKIE
from tools.openapi import failures
from tools.openapi.examples import Examples
from tools.openapi.operations import Operations
from tools.openapi.paths import path_of
from tools.openapi.schemas import Schemas
from tools.openapi.types import Types

Json = dict[str, Any]
VERSION = "3.1.0"
TITLE = "Crafiq"
OPERATIONS_TAG = "operations"
DESCRIPTION = """\
Text, images and audio become images, 3D models, audio and other media; and what is held about you \
is yours to see, take along and end.

- **Bodies** are JSON as proto3 has it: lowerCamelCase names, 64-bit numbers as strings, times in \
RFC 3339. Unknown fields of a body are ignored, unknown query parameters refused.
- **Signed in** is who sends `Authorization: Bearer <accessToken>`, or the cookies that \
`POST /v1/sessions` sets. With the cookies, calls that change something need an `Origin` of this site.
- **requestId** stands wherever something is created or costs: a UUID of the client's own. Asked again \
with the same one, the answer is the same.
- **Lists** take `pageSize` and `pageToken` and answer `nextPageToken`, empty at the end.
- **Errors** all look like `Error`; the sentence in `message` says what to do, the `reason` in `details` \
is a constant.
- The same calls are reachable as gRPC-Web under the name in `x-rpc`. `x-purpose` says why personal data \
is processed in a call, `x-personal` what a field says about a person.
"""


def document(descriptor_set: bytes) -> Json:
    """The document for these protos (gen/crafiq.binpb).

    Raises ValueError for two RPCs of the same name and for an update mask that names no field.
    """
    files = parse(descriptor_set)
    rpcs = [rpc for rpc in outside(files) if rpc.bindings]
    types = Types.of(files)
    schemas = Schemas(types)
    failures.add_schemas(schemas)
    paths = _paths(rpcs, Operations(types, schemas, Examples(types)))
    return {
        "openapi": VERSION,
        "info": {"title": TITLE, "version": "v1", "description": DESCRIPTION},
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": _tags(rpcs, types),
        "paths": {**paths, **_own_paths()},
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": failures.responses(),
            "securitySchemes": _security_schemes(),
        },
    }


def rendered(made: Json) -> str:
    """As it is committed: to be read in a diff."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _paths(rpcs: list[Rpc], operations: Operations) -> Json:
    paths: Json = {}
    named: set[str] = set()
    for rpc in rpcs:
        for n, binding in enumerate(rpc.bindings):
            operation_id = rpc.name[0].lower() + rpc.name[1:] + (str(n + 1) if n else "")
            if operation_id in named:
                raise ValueError(f"Two RPCs are called {rpc.name}: name one differently.")
            named.add(operation_id)
            path = path_of(binding.template.text)
            operation = operations.operation(rpc, binding, path, operation_id)
            paths.setdefault(path.text, {})[binding.method.lower()] = operation
    return paths


def _tags(rpcs: list[Rpc], types: Types) -> list[Json]:
    services = {rpc.service: rpc.full_service for rpc in rpcs}
    tags = [{"name": name, "description": types.comment(full)} for name, full in services.items()]
    return [*tags, {"name": OPERATIONS_TAG, "description": "About the gateway itself."}]


def _own_paths() -> Json:
    """What the gateway answers by itself."""
    health = {
        "type": "object",
        "properties": {"status": {"type": "string", "const": "SERVING"}},
        "required": ["status"],
    }
    return {
        "/healthz": {"get": _own("getHealth", "Whether the gateway is up", health, {"status": "SERVING"})},
        "/openapi.json": {"get": _own("getDocument", "This document", {"type": "object"}, None)},
    }


def _own(operation_id: str, summary: str, schema: Json, example: Json | None) -> Json:
    content = {"schema": schema, **({"example": example} if example else {})}
    return {
        "operationId": operation_id,
        "tags": [OPERATIONS_TAG],
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": f"{summary}.", "content": {"application/json": content}},
            "429": {"$ref": "#/components/responses/TooManyRequests"},
            failures.ELSE: {"$ref": "#/components/responses/Other"},
        },
    }


def _security_schemes() -> Json:
    signing_in = "The `accessToken` of `POST /v1/sessions`; five minutes."
    in_browser = "Set by `POST /v1/sessions`; HttpOnly and Secure."
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": signing_in},
        "cookie": {"type": "apiKey", "in": "cookie", "name": ACCESS_COOKIE, "description": in_browser},
    }
