"""What every answer of the public API must be, whatever was asked: API.md, "Errors"."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# Where code lives, how tracebacks begin, what errors of Python and of libraries are called.
INSIDE = re.compile(
    r"Traceback|File \"|\w\.py\b|_pb2|asyncpg|sqlalchemy|aiohttp|\bgrpc\.|\bservices\.|\bchassis\.|"
    r"\bpromises\.|\b0x[0-9a-f]{6,}|\b\w{1,60}(?:Exception|Error)\b"
)
SENTENCE = re.compile(r"\S.{8,600}[.!?]", re.DOTALL)
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY = "type.googleapis.com/google.rpc.RetryInfo"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def again(self) -> bool:
        """Whether it says that a service is away for the moment, and when to ask again."""
        if self.status != 503 or "application/json" not in self.content_type:
            return False
        return any(detail["@type"] == RETRY for detail in self.json["details"])

    @property
    def reason(self) -> str:
        """Of its ErrorInfo."""
        return next((str(d["reason"]) for d in self.json["details"] if d["@type"] == INFO), "")


def fault_of(answer: Answer) -> str:
    """What is wrong with an answer, empty if nothing is; a refusal is not wrong."""
    if answer.status < 400:
        return ""
    if "application/json" not in answer.content_type:
        return f"is {answer.content_type or 'of no type'}"
    try:
        body = answer.json
    except ValueError:
        return f"is no JSON: {answer.body[:100]!r}"
    return _fault_of_body(answer.status, body)


def _fault_of_body(status: int, body: Any) -> str:
    if not isinstance(body, dict) or set(body) != {"code", "message", "details"}:
        return f"has another shape: {str(body)[:200]}"
    infos = [d for d in body["details"] if d.get("@type") == INFO]
    kinds = {d.get("@type") for d in body["details"]}
    faults = {
        "has a code that is no number": not isinstance(body["code"], int),
        "says no sentence": not SENTENCE.fullmatch(str(body["message"])),
        "has no ErrorInfo": len(infos) != 1,
        "has no reason or no domain": not all(i.get("reason") and i.get("domain") for i in infos),
        "shows the inside": INSIDE.search(json.dumps(body)) is not None,
        "is a fault of ours": status >= 500 and (status != 503 or RETRY not in kinds),
    }
    return "; ".join(f"{fault}: {str(body)[:300]}" for fault, there in faults.items() if there)
