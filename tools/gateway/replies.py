"""Errors that the gateway makes itself, in the shape that services give theirs.

`{"code", "message", "details": [ErrorInfo]}`: google.rpc.Code, a sentence that says what to do, and
a reason in the domain `crafiq.gateway`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
DOMAIN = "crafiq.gateway"
_CEL = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"


@dataclass(frozen=True)
class Reply:
    """status: of HTTP. code: of google.rpc.Code. shows_detail: Envoy's own words are added."""

    status: int
    code: int
    reason: str
    sentence: str
    shows_detail: bool = False


REPLIES = [
    Reply(
        400, 3, "REQUEST_INVALID",
        "The gateway could not read this request; mend it as the detail says.",
        shows_detail=True,
    ),
    Reply(
        401, 16, "SIGN_IN_REQUIRED",
        "Sign in first: send `Authorization: Bearer <accessToken>` or the session's cookie.",
    ),
    Reply(
        403, 7, "ORIGIN_FORBIDDEN",
        "A request that changes something and carries the session's cookie needs an Origin header of this "
        "site; API clients send a Bearer token instead.",
    ),
    Reply(404, 5, "NO_SUCH_CALL", "There is no such call; see /openapi.json for methods and paths."),
    Reply(408, 4, "REQUEST_TOO_SLOW", "The request did not arrive in time; send it again."),
    Reply(
        413, 3, "BODY_TOO_LARGE",
        "The body is larger than this call takes; media go straight to storage, see POST /v1/uploads.",
    ),
    Reply(414, 3, "URL_TOO_LONG", "The URL is too long; use fewer or shorter parameters."),
    Reply(
        415, 3, "CONTENT_TYPE_UNSUPPORTED",
        "Send application/json or application/grpc-web; native gRPC is not offered here.",
    ),
    Reply(426, 3, "UPGRADE_REQUIRED", "Use HTTP/1.1 or HTTP/2."),
    Reply(
        429, 8, "TOO_MANY_REQUESTS",
        "Too many calls in a minute; wait for the seconds in the header Retry-After, then try again.",
    ),
    Reply(431, 3, "HEADERS_TOO_LARGE", "The headers are too large; send fewer or smaller ones."),
    Reply(
        500, 13, "GATEWAY_FAILED",
        "Something failed at the gateway; try again, and tell support the request id if it stays.",
    ),
    Reply(
        502, 14, "SERVICE_UNREADABLE",
        "The service gave an answer that could not be read; try again in a moment.",
    ),
    Reply(503, 14, "SERVICE_UNAVAILABLE", "The service is not available just now; try again in a moment."),
    Reply(
        504, 4, "SERVICE_TOO_SLOW",
        "The service did not answer in time; ask again with the same requestId.",
    ),
]  # fmt: skip
_BY_STATUS = {reply.status: reply for reply in REPLIES}
# Nosniff and the like for what fails before a route is known; elsewhere routes set them.
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
# Envoy would name the whole URL as the realm.
_CHALLENGE = {"www-authenticate": 'Bearer realm="crafiq"'}


def config() -> Json:
    """`local_reply_config`. Mappers by status: a body_format for all would rewrite /healthz too."""
    # Envoy answers 401 when it has no keys yet and 403 to a token for another audience. The first
    # would sign people out, the second is a sign-in that is missing, as services see it.
    mended = [
        _mapper(_because("Jwks_remote_fetch_is_failed"), _BY_STATUS[503]),
        _mapper(_because("Audiences_in_Jwt_are_not_allowed"), _BY_STATUS[401]),
    ]
    return {"mappers": [*mended, *(_mapper(_status_is(reply.status), reply) for reply in REPLIES)]}


def _mapper(condition: Json, reply: Reply) -> Json:
    return {
        "filter": condition,
        "status_code": reply.status,
        "headers_to_add": [
            {"header": {"key": k, "value": v}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for k, v in (_HEADERS | _CHALLENGE if reply.status == 401 else _HEADERS).items()
        ],
        "body_format_override": {
            "content_type": "application/json",
            "json_format": body(reply),
            # What is refused before it has an id says nothing of one, not null.
            "omit_empty_values": True,
        },
    }


def body(reply: Reply) -> Json:
    """What is answered; Envoy fills in what stands between percent signs."""
    metadata = {"requestId": "%REQ(X-REQUEST-ID)%"}
    if reply.shows_detail:
        metadata["detail"] = "%LOCAL_REPLY_BODY%"
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reply.reason,
        "domain": DOMAIN,
        "metadata": metadata,
    }
    return {"code": reply.code, "message": reply.sentence, "details": [info]}


def _status_is(status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"reply_{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _because(detail: str) -> Json:
    """Matches Envoy's own account of why it answered."""
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": _CEL,
                "expression": f"response.code_details.contains('{detail}')",
            },
        }
    }
