"""What a partial update may change: the fields that the comment of its `update_mask` names."""

from __future__ import annotations

import re

from tools.openapi.schemas import json_name
from tools.openapi.types import Types, type_of

MASK = "update_mask"
# Sent back, so that nothing is overwritten unseen (AIP-154).
ETAG = "etag"
_NAMED = re.compile(r"`([A-Za-z0-9.]+)`")


def writable(types: Types, request: str, body: str) -> set[str] | None:
    """Names of fields of the body's message; None where everything in it is read."""
    fields = {field.name for field in types.messages[request].field}
    if MASK not in fields or body in {"", "*"}:
        return None
    message = types.messages[type_of(types.field(request, body))]
    named = set(_NAMED.findall(types.comment(f"{request}.{MASK}")))
    found = {field.name for field in message.field if json_name(field) in named or field.name in named}
    if not found:
        raise ValueError(f"The comment of {request}.{MASK} names no field of {message.name}: say which.")
    return found | {field.name for field in message.field if field.name == ETAG}
