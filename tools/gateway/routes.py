"""One route per HTTP rule, one per gRPC-Web path, and a 404 for the rest."""

from __future__ import annotations

from typing import Any

from tools.gateway import limits, tokens
from tools.gateway.surface import UNARY_SECONDS, Binding, Rpc

Json = dict[str, Any]
# Services send a heartbeat every 15 s.
STREAM_IDLE_SECONDS = 60
# The service's own deadline ends first and says why; Envoy's is for a service that hangs.
GRACE_SECONDS = 2
MAX_AGE_OF_PREFLIGHT = "600"
# What a page of another origin may send and read.
ACCEPTED_HEADERS = (
    "authorization", "content-type", "last-event-id", "x-grpc-web", "x-receipt-secret", "x-user-agent",
)  # fmt: skip
SHOWN_HEADERS = (
    "grpc-message", "grpc-status", "grpc-status-details-bin", "retry-after", "x-ratelimit-reset",
    "x-request-id",
)  # fmt: skip
CSP = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Services may say otherwise.
DEFAULT_HEADERS = {"content-security-policy": CSP, "cache-control": "no-store"}


def route_config(rpcs: list[Rpc], origins: list[str]) -> Json:
    """`route_config`: everything reachable, verb templates first."""
    bindings = sorted(((b, r) for r in rpcs for b in r.bindings), key=lambda pair: pair[0].template.order)
    _refuse_twins([b for b, _ in bindings])
    routes = [
        _health(),
        *(_rest(binding, rpc) for binding, rpc in bindings),
        *(_grpc_web(rpc) for rpc in rpcs),
        *_rest_of_it(),
    ]
    host: Json = {
        "name": "crafiq",
        "domains": ["*"],
        "routes": routes,
        # Nothing else is provably not accepted, and most calls are not to be repeated.
        "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
    }
    if origins:
        host["typed_per_filter_config"] = {"envoy.filters.http.cors": _cors(origins)}
    return {
        "name": "crafiq",
        "max_direct_response_body_size_bytes": 4096,
        "response_headers_to_add": [
            *(_header(k, v, "OVERWRITE_IF_EXISTS_OR_ADD") for k, v in SECURITY_HEADERS.items()),
            *(_header(k, v, "ADD_IF_ABSENT") for k, v in DEFAULT_HEADERS.items()),
        ],
        "response_headers_to_remove": ["server", "x-powered-by"],
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
    method = {"name": ":method", "string_match": {"exact": binding.method}}
    not_grpc = {
        "name": "content-type",
        "string_match": {"prefix": "application/grpc"},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }
    name = f"{rpc.label} {binding.method} {binding.template.text}"
    return _to_service(name, {**path, "headers": [method, not_grpc]}, rpc)


def _grpc_web(rpc: Rpc) -> Json:
    match = {
        "path": rpc.grpc_path,
        "headers": [
            {"name": ":method", "string_match": {"exact": "POST"}},
            {"name": "content-type", "string_match": {"prefix": "application/grpc-web"}},
        ],
    }
    return _to_service(f"{rpc.label} gRPC-Web", match, rpc)


def _to_service(name: str, match: Json, rpc: Rpc) -> Json:
    route: Json = {"cluster": rpc.service, "rate_limits": limits.actions(rpc)}
    added = []
    if rpc.streams:
        route |= {"timeout": "0s", "idle_timeout": f"{STREAM_IDLE_SECONDS}s"}
    else:
        route["timeout"] = f"{UNARY_SECONDS + GRACE_SECONDS}s"
        # A route's timeout alone would cancel the call without the service knowing its deadline.
        added.append(_header("grpc-timeout", f"{UNARY_SECONDS}S", "OVERWRITE_IF_EXISTS_OR_ADD"))
    return {
        "name": name,
        "match": match,
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
        "match": {"path": "/healthz", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
        "direct_response": {"status": 200, "body": {"inline_string": '{"status":"SERVING"}\n'}},
        "response_headers_to_add": [
            _header("content-type", "application/json", "OVERWRITE_IF_EXISTS_OR_ADD")
        ],
    }


def _rest_of_it() -> list[Json]:
    """Native gRPC, of any path: refused as such. Anything else: not found."""
    native = {
        "prefix": "/",
        "headers": [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}],
    }
    return [_refusal("native gRPC", native, 415), _refusal("not found", {"prefix": "/"}, 404)]


def _refusal(name: str, match: Json, status: int) -> Json:
    # The local reply of that status supplies the body. Envoy counts only what has a route action,
    # so refusals of unknown paths are not limited: they cost nothing but themselves.
    return {"name": name, "match": match, "direct_response": {"status": status}}


def _cors(origins: list[str]) -> Json:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in origins],
        "allow_methods": "GET, POST, PUT, PATCH, DELETE",
        "allow_headers": ", ".join(ACCEPTED_HEADERS),
        "expose_headers": ", ".join(SHOWN_HEADERS),
        "max_age": MAX_AGE_OF_PREFLIGHT,
        "allow_credentials": True,
    }


def _header(key: str, value: str, action: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}
