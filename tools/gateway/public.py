"""The bytes of public works: read by everyone, straight from storage, and nothing else of it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
CLUSTER = "s3"
BUCKET = "crafiq-public"
KEPT_SECONDS = 300
"""A copy outside may outlive a takedown by this."""
# Without a query: storage obeys `response-content-type` and the like.
PATH = "/public/[0-9a-f-]+/(original|poster|thumbnail)"
# Whoever reads is nobody here. A condition on the time would tell the second of publication.
NOT_SENT = (
    "authorization", "cookie", "if-modified-since", "if-unmodified-since", "if-range", "origin",
    "x-amz-security-token", "x-amz-date", "x-amz-content-sha256",
)  # fmt: skip
NOT_SHOWN = (
    "last-modified", "seaweed-x-amz-etag", "seaweed-x-amz-owner", "set-cookie", "vary", "x-amz-request-id",
    "x-amz-server-side-encryption", "x-amz-version-id",
)  # fmt: skip
HEADERS = {
    "cache-control": f"public, max-age={KEPT_SECONDS}",
    # For pages of any origin: nothing here is anyone's secret.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


FILTER = "envoy.filters.http.custom_response"
_MATCH = "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"
_LOCAL = (
    "type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy"
)
# What storage answers, and what is answered instead: its own words name the bucket.
INSTEAD = {400: 404, 403: 404, 404: 404, 500: 503, 503: 503}


def in_our_words() -> Json:
    """For the route: failures of storage are told as the gateway tells its own."""
    matchers = [
        {
            "predicate": {
                "single_predicate": {
                    "input": {"name": "status", "typed_config": {"@type": _MATCH}},
                    "value_match": {"exact": str(found)},
                }
            },
            "on_match": {"action": {"name": "reply", "typed_config": {"@type": _LOCAL, "status_code": told}}},
        }
        for found, told in INSTEAD.items()
    ]
    kind = "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse"
    return {FILTER: {"@type": kind, "custom_response_matcher": {"matcher_list": {"matchers": matchers}}}}


def public_bytes() -> list[Json]:
    """The routes: GET and HEAD of one rendition of one publication."""
    return [_route("GET"), _route("HEAD")]


def _route(method: str) -> Json:
    rewrite = {"pattern": {"regex": "^/public/"}, "substitution": f"/{BUCKET}/"}
    return {
        "name": f"public {method}",
        "match": {
            "safe_regex": {"regex": PATH},
            "headers": [
                {"name": ":method", "string_match": {"exact": method}},
                {"name": ":path", "string_match": {"safe_regex": {"regex": PATH}}},
            ],
        },
        "route": {"cluster": CLUSTER, "timeout": "0s", "idle_timeout": "30s", "regex_rewrite": rewrite},
        "request_headers_to_remove": list(NOT_SENT),
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in HEADERS.items()
        ],
        "response_headers_to_remove": list(NOT_SHOWN),
    }
