"""Page tokens (AIP-158): signed, and good for one list of one person only."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from chassis.errors import InvalidArgument

Position = tuple[str | int | UUID | datetime, ...]
"""Where a page ended: the sort key of its last row."""


class PageTokenInvalid(InvalidArgument):
    """A page token that was not given out for this list."""

    sentence = "This pageToken is not of this list: leave it out to begin at the start."


class Pages:
    """Encodes and decodes page tokens with a service's own key."""

    def __init__(self, key: bytes) -> None:
        raise NotImplementedError

    def encode(self, list_name: str, account: UUID | None, position: Position) -> str:
        """The token of the page after `position`. `list_name` includes the filter, if the list has one."""
        raise NotImplementedError

    def decode(self, list_name: str, account: UUID | None, token: str) -> Position | None:
        """The position, with the types it had; None for the empty token. Raises PageTokenInvalid."""
        raise NotImplementedError


def size(asked: int) -> int:
    """Rows a page has: 50 if nothing was asked for, 100 at most. Negative is the proto rules' to refuse."""
    return 50 if asked <= 0 else min(asked, 100)
