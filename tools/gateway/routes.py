"""One route per HTTP rule, one per gRPC-Web path, and a refusal for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.gateway import limits, tokens
from tools.gateway.public import in_our_words, public_bytes
from tools.gateway.surface import UNARY_SECONDS, Binding, Rpc

Json = dict[str, Any]
# Services send a heartbeat every 15 s.
STREAM_IDLE_SECONDS = 60
# The service's own deadline ends first and says why; Envoy's is for a service that hangs.
GRACE_SECONDS = 2
PREFLIGHT_KEPT_SECONDS = 600
DOCUMENT_KEPT_SECONDS = 300
# What a page of another origin may send and read.
ACCEPTED_HEADERS = (
    "authorization", "content-type", "last-event-id", "x-grpc-web", "x-receipt-secret", "x-user-agent",
)  # fmt: skip
SHOWN_HEADERS = ("grpc-message", "grpc-status", "grpc-status-details-bin", "retry-after", "x-request-id")
SECURITY_HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Services and routes may say otherwise.
DEFAULT_HEADERS = {
    "cross-origin-resource-policy": "same-site",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
_TRANSCODER_TYPE = (
    "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
)
# The transcoder refuses what it does not know, with a 404 of its own.
NOT_TRANSCODED = {
    TRANSCODER: {
        "@type": _TRANSCODER_TYPE,
        "proto_descriptor_bin": "",
        "services": [],
    }
}  # fmt: skip
# A cluster without endpoints.
NOWHERE = "nowhere"
OVERWRITE, IF_ABSENT = "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"


def route_config(rpcs: list[Rpc], origins: list[str], document: Path, *, public: bool = False) -> Json:
    """Everything reachable, verb templates first; `document` is the file to answer at /openapi.json.

    `public`: whether the bytes of public works are read here as well.

    Raises ValueError for two rules with the same paths.
    """
    bindings = sorted(((b, r) for r in rpcs for b in r.bindings), key=lambda pair: pair[0].template.order)
    _refuse_twins([b for b, _ in bindings])
    host: Json = {
        "name": "crafiq",
        "domains": ["*"],
        "routes": [
            _health(),
            _document(document),
            *(
                {**route, "typed_per_filter_config": {**NOT_TRANSCODED, **in_our_words()}}
                for route in public_bytes()
                if public
            ),
            *([_preflight()] if origins else []),
            *(_rest(binding, rpc) for binding, rpc in bindings),
            *(_grpc_web(rpc) for rpc in rpcs),
            _refusal("native gRPC", {"prefix": "/", "headers": _native_grpc()}, 415),
            _refusal("not found", {"prefix": "/"}, 404),
        ],
        # Nothing else is provably not accepted, and most calls are not to be repeated.
        "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
    }
    if origins:
        host["typed_per_filter_config"] = {"envoy.filters.http.cors": _cors(origins)}
    return {
        "name": "crafiq",
        # Envoy reads the document once, at its start.
        "max_direct_response_body_size_bytes": document.stat().st_size,
        "response_headers_to_add": [
            *(_header(name, value, OVERWRITE) for name, value in SECURITY_HEADERS.items()),
            *(_header(name, value, IF_ABSENT) for name, value in DEFAULT_HEADERS.items()),
        ],
        "response_headers_to_remove": ["server", "x-powered-by", "grpc-accept-encoding"],
        # The path in its original spelling, with the query.
        "request_headers_to_remove": ["x-envoy-original-path", "x-envoy-original-method"],
        "virtual_hosts": [host],
    }


def _refuse_twins(bindings: list[Binding]) -> None:
    seen: dict[tuple[str, str], Binding] = {}
    for binding in bindings:
        twin = seen.setdefault((binding.method, binding.template.regex), binding)
        if twin is not binding:
            texts = f"{twin.template.text} and {binding.template.text}"
            raise ValueError(f"{binding.method} {texts} match the same paths: name one differently.")


def _rest(binding: Binding, rpc: Rpc) -> Json:
    fixed = binding.template.fixed
    path: Json = {"path": fixed} if fixed else {"safe_regex": {"regex": binding.template.regex}}
    not_grpc = {
        **_content_type("application/grpc"), "invert_match": True, "treat_missing_header_as_empty": True,
    }  # fmt: skip
    name = f"{rpc.label} {binding.method} {binding.template.text}"
    return _to_service(name, {**path, "headers": [_method(binding.method), not_grpc]}, rpc)


def _grpc_web(rpc: Rpc) -> Json:
    headers = [_method("POST"), _content_type("application/grpc-web")]
    return _to_service(f"{rpc.label} gRPC-Web", {"path": rpc.grpc_path, "headers": headers}, rpc)


def _to_service(name: str, match: Json, rpc: Rpc) -> Json:
    route: Json = {"cluster": rpc.service, "timeout": "0s", "idle_timeout": f"{STREAM_IDLE_SECONDS}s"}
    added: list[Json] = []
    if not rpc.streams:
        route = {"cluster": rpc.service, "timeout": f"{UNARY_SECONDS + GRACE_SECONDS}s"}
        # A route's timeout alone would cancel the call without the service knowing its deadline.
        added = [_header("grpc-timeout", f"{UNARY_SECONDS}S", OVERWRITE)]
    return {
        "name": name,
        "match": match,
        "metadata": limits.route_metadata(rpc.label),
        "route": route,
        "request_headers_to_add": added,
        "typed_per_filter_config": {**tokens.requirement(rpc), **_body_limit(rpc.max_body_bytes)},
    }


def _body_limit(most: int) -> Json:
    kind = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute"
    return {"envoy.filters.http.buffer": {"@type": kind, "buffer": {"max_request_bytes": most}}}


def _health() -> Json:
    return {
        "name": "healthz",
        "match": {"path": "/healthz", "headers": [_method("GET")]},
        "direct_response": {"status": 200, "body": {"inline_string": '{"status":"SERVING"}\n'}},
        "response_headers_to_add": [_header("content-type", "application/json", OVERWRITE)],
        "typed_per_filter_config": NOT_TRANSCODED,
    }


def _document(document: Path) -> Json:
    """The OpenAPI document, for pages of any origin: it says nothing about anyone."""
    headers = {
        "content-type": "application/json",
        "cache-control": f"public, max-age={DOCUMENT_KEPT_SECONDS}",
        "access-control-allow-origin": "*",
    }
    return {
        "name": "openapi",
        "match": {"path": "/openapi.json", "headers": [_method("GET")]},
        "direct_response": {"status": 200, "body": {"filename": str(document)}},
        "response_headers_to_add": [_header(name, value, OVERWRITE) for name, value in headers.items()],
        "typed_per_filter_config": NOT_TRANSCODED,
    }


def _preflight() -> Json:
    """What a browser asks before a page of another origin may call.

    The CORS filter answers for the origins that are named, but only where a route leads somewhere;
    for the others the transcoder finds no such method. Nothing is ever sent on.
    """
    present = {"present_match": True}
    headers = [
        _method("OPTIONS"),
        {"name": "origin", **present},
        {"name": "access-control-request-method", **present},
    ]
    return {"name": "preflight", "match": {"prefix": "/", "headers": headers}, "route": {"cluster": NOWHERE}}


def _refusal(name: str, match: Json, status: int) -> Json:
    """The local reply of that status supplies the body."""
    direct = {"direct_response": {"status": status}}
    return {"name": name, "match": match, **direct, "typed_per_filter_config": NOT_TRANSCODED}


def _cors(origins: list[str]) -> Json:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in origins],
        "allow_methods": "GET, POST, PUT, PATCH, DELETE",
        "allow_headers": ", ".join(ACCEPTED_HEADERS),
        "expose_headers": ", ".join(SHOWN_HEADERS),
        "max_age": str(PREFLIGHT_KEPT_SECONDS),
        "allow_credentials": True,
    }


def _method(name: str) -> Json:
    return {"name": ":method", "string_match": {"exact": name}}


def _native_grpc() -> list[Json]:
    web = {**_content_type("application/grpc-web"), "invert_match": True}
    return [_content_type("application/grpc"), web]


def _content_type(prefix: str) -> Json:
    return {"name": "content-type", "string_match": {"prefix": prefix}}


def _header(key: str, value: str, action: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}
