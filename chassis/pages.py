"""Page tokens (AIP-158): signed, and good for one list of one person only."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime
from uuid import UUID

from chassis.errors import InvalidArgument

Position = tuple[str | int | UUID | datetime, ...]
"""Where a page ended: the sort key of its last row."""
_MAC = 16  # bytes


class PageTokenInvalid(InvalidArgument):
    """A page token that was not given out for this list."""

    sentence = "This pageToken is not of this list: leave it out to begin at the start."


class Pages:
    """Encodes and decodes page tokens with a service's own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, list_name: str, account: UUID | None, position: Position) -> str:
        """The token of the page after `position`. `list_name` includes the filter, if the list has one."""
        body = json.dumps([_written(part) for part in position], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(list_name, account, body) + body).decode().rstrip("=")

    def decode(self, list_name: str, account: UUID | None, token: str) -> Position | None:
        """The position, with the types it had; None for the empty token. Raises PageTokenInvalid."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except ValueError:
            raise PageTokenInvalid from None
        mac, body = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(list_name, account, body)):
            raise PageTokenInvalid
        return tuple(_read(part) for part in json.loads(body))

    def _mac(self, list_name: str, account: UUID | None, body: bytes) -> bytes:
        bound = json.dumps(["page", list_name, str(account)]).encode()
        return hmac.digest(self._key, bound + b"\0" + body, "sha256")[:_MAC]


def size(asked: int) -> int:
    """Rows a page has: 50 if nothing was asked for, 100 at most. Negative is the proto rules' to refuse."""
    return 50 if asked <= 0 else min(asked, 100)


def _written(part: str | int | UUID | datetime) -> str | int | list[str]:
    if isinstance(part, UUID):
        return ["id", str(part)]
    return ["time", part.isoformat()] if isinstance(part, datetime) else part


def _read(part: str | int | list[str]) -> str | int | UUID | datetime:
    if not isinstance(part, list):
        return part
    kind, value = part
    return UUID(value) if kind == "id" else datetime.fromisoformat(value)
