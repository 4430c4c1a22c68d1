"""Resource names (AIP-122): `generations/{uuid}`, `accounts/{uuid}`, `models/{id}`, `vendors/{id}`."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from services.generation.domain.refusals import GenerationNotFound


def generation_name(generation: UUID) -> str:
    """The name of a generation."""
    return f"generations/{generation}"


def account_name(account: UUID) -> str:
    """The name of an account."""
    return f"accounts/{account}"


def generation_id(name: str) -> UUID:
    """The id in `generations/{uuid}`, canonical form only; raises GenerationNotFound for anything else."""
    text = name.removeprefix("generations/")
    try:
        found = UUID(text)
    except ValueError:
        raise GenerationNotFound(generation="of that name") from None
    if str(found) != text:
        raise GenerationNotFound(generation="of that name")
    return found


def ordered_id(key: bytes, account: UUID, request_id: UUID) -> UUID:
    """The id of the generation that this request of this person orders, now and each time it is repeated.

    So a request whose answer was lost asks billing for the hold that it already has. Keyed: nobody
    else can tell which ids a person will get. The form is that of a version 4 UUID (RFC 9562).
    """
    digest = hmac.digest(key, b"generation" + account.bytes + request_id.bytes, hashlib.sha256)
    return UUID(bytes=digest[:16], version=4)
