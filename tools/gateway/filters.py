"""The HTTP filters, in order, and the connection manager that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tools.gateway import limits, replies, tokens
from tools.gateway.surface import BODY_BYTES, Rpc

Json = dict[str, Any]
_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_MATCHING = "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher"
_HEADER_INPUT = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
_SKIP = "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
# Headers that only we may set: identity, addresses, deadlines, traces, ids.
STRIPPED_PREFIXES = (
    "x-auth-", "x-crafiq-", "x-envoy-", "x-forwarded-", "x-ratelimit-", "grpc-", "traceparent", "tracestate",
    "baggage", "x-request-id", "forwarded", "x-real-ip",
)  # fmt: skip
# Everything named so is base64 to gRPC; what is none would break the call.
STRIPPED_SUFFIXES = ("-bin",)
# HTTP allows more in a header's name than gRPC, which ends such a call with an error. The colon is
# that of `:path` and its like.
UNSPEAKABLE = "[^a-z0-9_.:-].*|[^:].*[^a-z0-9_.-].*"
SESSION_COOKIE = "crafiq_"
COMPRESSIBLE = ("application/json", "application/jwk-set+json", "text/html", "text/plain")
LARGEST_ANSWER = 16 * 1024 * 1024
HEADERS_KB = 32


def connection_manager(
    rpcs: list[Rpc], descriptor: Path, reachable: Json, origins: list[str], factor: int
) -> Json:
    """What a public listener runs; `reachable` is the route configuration."""
    return {
        "@type": MANAGER,
        "stat_prefix": "outside",
        "route_config": reachable,
        "http_filters": _filters(rpcs, descriptor, origins, factor),
        "local_reply_config": replies.config(),
        "access_log": [access_log()],
        **_addresses(),
        **_paths(),
        **_bounds(),
    }


def _filters(rpcs: list[Rpc], descriptor: Path, origins: list[str], factor: int) -> list[Json]:
    """Answers pass them from the last to the first: what is compressed is JSON already."""
    return [
        _filter("envoy.filters.http.cors", "cors.v3.Cors"),
        _csrf(origins),
        limits.by_address(rpcs, factor),
        tokens.verification(),
        limits.by_person(rpcs, factor),
        _filter("envoy.filters.http.buffer", "buffer.v3.Buffer", max_request_bytes=BODY_BYTES),
        _compressor("brotli"),
        _compressor("gzip"),
        _filter("envoy.filters.http.grpc_web", "grpc_web.v3.GrpcWeb"),
        transcoder(rpcs, descriptor),
        # Only where a route says what is to be answered instead.
        _filter("envoy.filters.http.custom_response", "custom_response.v3.CustomResponse"),
        router(),
    ]


def transcoder(rpcs: list[Rpc], descriptor: Path) -> Json:
    """JSON to gRPC and back. Unknown fields of a JSON body are ignored: Envoy cannot refuse them."""
    return _filter(
        "envoy.filters.http.grpc_json_transcoder",
        "grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(descriptor),
        services=sorted({rpc.full_service for rpc in rpcs}),
        # The route found by path keeps its limits; else the RPC's gRPC path would be routed anew.
        match_incoming_request_route=True,
        convert_grpc_status=True,
        auto_mapping=False,
        max_request_body_size=max(rpc.max_body_bytes for rpc in rpcs),
        max_response_body_size=LARGEST_ANSWER,
        print_options={"always_print_primitive_fields": True},
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    )


def router() -> Json:
    """The last filter; it adds no headers of its own."""
    return _filter("envoy.filters.http.router", "router.v3.Router", suppress_envoy_headers=True)


def _csrf(origins: list[str]) -> Json:
    """Compares Origin with Host, unless a Bearer token came, or neither a session cookie nor an Origin.

    A site that forges a request cannot send a Bearer token, and its Origin comes along by itself. The
    cookie alone is not the mark: a forged sign-in needs none, and sets the forger's session. JSON is
    read from any content type, so a form could reach us without a preflight.
    """
    hosts = [{"exact": urlsplit(origin).netloc} for origin in origins]
    enabled = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    csrf = _filter(
        "envoy.filters.http.csrf", "csrf.v3.CsrfPolicy", filter_enabled=enabled, additional_origins=hosts
    )
    has_bearer = _header_matches("authorization", {"prefix": "Bearer ", "ignore_case": True})
    no_session = {"not_matcher": _header_matches("cookie", {"contains": SESSION_COOKIE})}
    no_origin = {"not_matcher": _header_matches("origin", {"safe_regex": {"google_re2": {}, "regex": ".+"}})}
    no_browser = {"and_matcher": {"predicate": [no_session, no_origin]}}
    skip = {"name": "skip", "typed_config": {"@type": _SKIP}}
    rule = {
        "predicate": {"or_matcher": {"predicate": [has_bearer, no_browser]}},
        "on_match": {"action": skip},
    }
    return {
        "name": "envoy.filters.http.csrf",
        "typed_config": {
            "@type": _MATCHING,
            "extension_config": csrf,
            "xds_matcher": {"matcher_list": {"matchers": [rule]}},
        },
    }


def _header_matches(name: str, value: Json) -> Json:
    header = {"name": name, "typed_config": {"@type": _HEADER_INPUT, "header_name": name}}
    return {"single_predicate": {"input": header, "value_match": value}}


def _compressor(kind: str) -> Json:
    library = f"type.googleapis.com/envoy.extensions.compression.{kind}.compressor.v3.{kind.capitalize()}"
    # Server-sent events are not among them: they pass as they come.
    types = [{"prefix": each} for each in COMPRESSIBLE]
    compressor = _filter(
        f"crafiq.compressor.{kind}",
        "compressor.v3.Compressor",
        compressor_library={"name": kind, "typed_config": {"@type": library}},
        response_direction_config={
            "common_config": {"min_content_length": 512, "content_type_matcher": types}
        },
    )
    compressor["typed_config"]["choose_first"] = kind == "brotli"
    return compressor


def access_log() -> Json:
    """One JSON line a request on stdout: the RPC instead of the path, the network instead of the address."""
    fields = {
        "time": "%START_TIME%",
        "rpc": "%ROUTE_NAME%",
        "status": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS(SNAKE_STRING)%",
        "flags": "%RESPONSE_FLAGS%",
        "ms": "%DURATION%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%",
        "request": "%REQ(X-REQUEST-ID)%",
    }
    kind = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    config = {"@type": kind, "log_format": {"json_format": fields}}
    return {"name": "envoy.access_loggers.stdout", "typed_config": config}


def _addresses() -> Json:
    """The client's address is the connection's, whatever a header says."""
    removals: list[Json] = [
        *({"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in STRIPPED_PREFIXES),
        *({"remove_on_match": {"key_matcher": {"suffix": suffix}}} for suffix in STRIPPED_SUFFIXES),
        {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": UNSPEAKABLE}}}},
    ]
    kind = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    early = {"name": "strip", "typed_config": {"@type": kind, "mutations": removals}}
    return {
        "use_remote_address": True,
        "xff_num_trusted_hops": 0,
        "early_header_mutation_extensions": [early],
    }


def _paths() -> Json:
    """Other spellings of a path are the same path or none."""
    return {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    }


def _bounds() -> Json:
    """How much of us one client may take."""
    return {
        "server_header_transformation": "PASS_THROUGH",
        "always_set_request_id_in_response": True,
        "max_request_headers_kb": HEADERS_KB,
        "stream_idle_timeout": "75s",
        "request_headers_timeout": "10s",
        "request_timeout": "30s",
        "drain_timeout": "5s",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "max_headers_count": 80,
            # `x_auth_sub` and `x-auth-sub` are the same to some servers.
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
    }


def _filter(name: str, kind: str, **config: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_HTTP}.{kind}", **config}}
