"""Requests are checked against the rules of their protos (protovalidate)."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from protovalidate import Validator, Violation

from chassis.errors import InvalidArgument, InvalidRequest

M = TypeVar("M", bound=Message)
# Rules are compiled at the first message of a type and kept.
_validator = Validator()


class RequestMalformed(InvalidArgument):
    """The bytes are no message of the request's type."""

    sentence = "This could not be read: send a message as the API describes it."


def check(kind: type[M], sent: bytes) -> M:
    """The request that was sent; raises RequestMalformed, or InvalidRequest with every fault and no value."""
    try:
        request = kind.FromString(sent)
    except DecodeError as error:
        raise RequestMalformed from error
    faults = _validator.collect_violations(request)
    if faults:
        violations = [(_path(fault), fault.proto.message) for fault in faults]
        field, rule = violations[0]
        raise InvalidRequest(field=field or "the request", rule=rule, violations=violations)
    return request


def _path(fault: Violation) -> str:
    """Where the fault is, as clients spell it in JSON: `asset.displayName`, `inputAssets[2]`."""
    if fault.proto.field is None:
        return ""
    steps = []
    for element in fault.proto.field.elements:
        head, *tail = element.field_name.split("_")
        step = head + "".join(part.capitalize() for part in tail)
        if element.subscript is not None:
            # The key of a map is the client's own word.
            step += f"[{element.subscript.value}]" if element.subscript.field == "index" else "[...]"
        steps.append(step)
    return ".".join(steps)
