"""What can go wrong with a call, and the one shape in which it is said."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from google.protobuf.json_format import MessageToDict

from chassis.errors import DeadlineExceeded, InvalidRequest, Refusal, Unavailable
from chassis.faults import RequestIdReused
from chassis.rpc.statuses import SOON, internal, status_of
from tools.gateway.replies import REPLIES, body
from tools.gateway.surface import Rpc
from tools.openapi.schemas import Schemas

Json = dict[str, Any]
ERROR = "Error"
ELSE = "default"
# They travel as Any, whose JSON names its type.
DETAILS = {
    "google.rpc.ErrorInfo": "Why: the constant `reason` of `domain`; `metadata` has what the sentence names.",
    "google.rpc.BadRequest": "Which fields are wrong, and how.",
    "google.rpc.RetryInfo": "When asking again makes sense.",
}
RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
REQUEST_ID = {"description": "Names the call; support can find it by this.", "schema": {"type": "string"}}
CHALLENGE = {"description": "How to sign in (RFC 9110).", "schema": {"type": "string"}}


@dataclass(frozen=True)
class Failure:
    """status: of HTTP. meaning: when it occurs. example: a whole answer."""

    status: int
    meaning: str
    example: Json
    headers: tuple[tuple[str, Json], ...] = ()

    @property
    def name(self) -> str:
        """`NotFound`."""
        return "".join(word.capitalize() for word in _phrase(self.status).replace("-", " ").split())


def failures() -> dict[int, Failure]:
    """All that a call may meet, by status."""
    found = [
        Failure(400, "Wrong whatever the state of things, or not possible in it.", _refused(_invalid())),
        Failure(
            401, "Nobody is signed in, or no longer.", _by_gateway(401), (("WWW-Authenticate", CHALLENGE),)
        ),
        Failure(403, "Who calls may not, or the call seems forged.", _by_gateway(403)),
        Failure(404, "There is no such thing, or not for who calls.", _by_gateway(404)),
        Failure(409, "It is there already, or somebody else was faster.", _refused(RequestIdReused())),
        Failure(413, "The body is larger than the call takes.", _by_gateway(413)),
        Failure(
            429, "Too many calls, or not enough credits.", _by_gateway(429), (("Retry-After", RETRY_AFTER),)
        ),
        Failure(499, "The call was given up before it was answered.", _cancelled()),
        Failure(500, "A fault of ours, with the number that our log has for it.", _internal()),
        Failure(
            503,
            "Not now; ask again later.",
            _refused(Unavailable(retry_after=SOON)),
            (("Retry-After", RETRY_AFTER),),
        ),
        Failure(504, "Not done in time; ask again with the same requestId.", _refused(DeadlineExceeded())),
    ]
    return {failure.status: failure for failure in found}


def statuses_of(rpc: Rpc, method: str, *, has_input: bool, has_body: bool) -> list[int]:
    """Which of them may occur in this call."""
    changes = method != "GET"
    # Signing in refuses with 401 what it was given.
    signs_in = rpc.public and changes and rpc.purpose == "AUTHENTICATION"
    possible = {
        400: True, 401: not rpc.public or signs_in, 403: changes or not rpc.public, 404: has_input,
        409: changes, 413: has_body, 429: True, 499: True, 500: True, 503: True, 504: not rpc.streams,
    }  # fmt: skip
    return [status for status, may_be in possible.items() if may_be]


def responses() -> Json:
    """`components.responses`: each failure, and one for every other."""
    content = {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}
    made: Json = {}
    for failure in failures().values():
        headers = {"X-Request-Id": REQUEST_ID, **dict(failure.headers)}
        example = {**content, "example": failure.example}
        described = f"{_phrase(failure.status)}. {failure.meaning}"
        made[failure.name] = {
            "description": described, "headers": headers, "content": {"application/json": example},
        }  # fmt: skip
    described = "Any other failure has the same shape."
    made["Other"] = {"description": described, "content": {"application/json": content}}
    return made


def add_schemas(schemas: Schemas) -> None:
    """`Error` and its details, which are those of google.rpc.Status (AIP-193)."""
    for message, meaning in DETAILS.items():
        name = schemas.answer(message)["$ref"].rsplit("/", 1)[1]
        schema = schemas.components[name]
        schema["description"] = meaning
        kind = {"type": "string", "const": f"type.googleapis.com/{message}"}
        schema["properties"] = {"@type": kind, **schema["properties"]}
        schema["required"] = ["@type", *schema.get("required", [])]
    names = [message.rsplit(".", 1)[1] for message in DETAILS]
    references = {name: f"#/components/schemas/{name}" for name in names}
    details: Json = {
        "type": "array",
        "description": "An ErrorInfo always, and what else there is to say.",
        "items": {"oneOf": [{"$ref": reference} for reference in references.values()]},
        "contains": {"$ref": references["ErrorInfo"]},
    }
    schemas.components[ERROR] = {
        "type": "object",
        "description": "Every failure looks like this, whoever found it: the gateway or a service.",
        "properties": {
            "code": {"type": "integer", "minimum": 1, "maximum": 16, "description": "google.rpc.Code."},
            "message": {"type": "string", "minLength": 1, "description": "A sentence that says what to do."},
            "details": details,
        },
        "required": ["code", "message", "details"],
    }


def _phrase(status: int) -> str:
    return "Client Closed Request" if status == 499 else HTTPStatus(status).phrase


def _refused(refusal: Refusal) -> Json:
    status = status_of(refusal, "crafiq.assets")
    answer = dict(MessageToDict(status, always_print_fields_with_no_presence=True))
    for detail in answer["details"]:
        if "metadata" in detail:  # a map has no order, and another one in every process
            detail["metadata"] = dict(sorted(detail["metadata"].items()))
    return answer


def _invalid() -> Refusal:
    rule = "must be at least 1"
    return InvalidRequest(field="sizeBytes", rule=rule, violations=[("sizeBytes", rule)])


def _internal() -> Json:
    return dict(MessageToDict(internal("6f1f3f0c", "crafiq.assets")))


def _cancelled() -> Json:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "CANCELLED", "metadata": {}}
    return {"code": 1, "message": "The call was cancelled.", "details": [{**info, "domain": "crafiq.assets"}]}


def _by_gateway(status: int) -> Json:
    """As Envoy would fill it in."""
    reply = next(reply for reply in REPLIES if reply.status == status)
    made = body(reply)
    made["details"][0]["metadata"]["requestId"] = "8c3e2c3a-5d0f-4d53-9d55-6a8e8f9d0b3e"
    return made
