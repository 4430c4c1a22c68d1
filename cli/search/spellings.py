"""The ways in which a value may stand somewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus
from uuid import UUID

EXCERPT = 48
"""Of what is longer than twice this, three excerpts of this length are looked for: beginning, middle and end.

Engines cut what is long: a record of PostgreSQL's WAL has a page's header in its middle every 8 KiB."""
SHORTEST = 8
"""Bytes of a spelling; shorter ones are found by chance."""


def spellings(value: bytes) -> set[bytes]:
    """A value as it may stand: plain, in UTF-16, JSON, Python, a URL, hex, base64; a UUID also as its bytes.

    In base64 it may begin at any of three places of a group; what depends on its neighbours is left out.
    """
    return {spelled for each in excerpts(value) for spelled in _spelled(each) if len(spelled) >= SHORTEST}


def excerpts(value: bytes) -> list[bytes]:
    """What is looked for of a value: all of it, or three excerpts if it is long."""
    if len(value) <= 2 * EXCERPT:
        return [value]
    middle = (len(value) - EXCERPT) // 2
    cuts = (value[:EXCERPT], value[middle : middle + EXCERPT], value[-EXCERPT:])
    return [_whole_characters(cut) if _is_text(value) else cut for cut in cuts]


def _spelled(value: bytes) -> Iterator[bytes]:
    yield value
    yield from (value.hex().encode(), value.hex().upper().encode())
    for place in range(3):
        yield from _base64(value, place)
    if _is_text(value):
        yield from _text(value.decode())


def _text(text: str) -> Iterator[bytes]:
    yield text.encode("utf-16-le")
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield repr(text)[1:-1].encode()
    yield from (quote(text, safe="").encode(), quote(text).encode(), quote_plus(text).encode())
    try:
        yield UUID(text).bytes
    except ValueError:
        return
    yield UUID(text).hex.encode()


def _base64(value: bytes, place: int) -> Iterator[bytes]:
    """Without the characters that also hold bits of what stands before or behind."""
    begins = (0, 2, 3)[place]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"\0" * place + value).rstrip(b"=")
        yield encoded[begins : -1 if (place + len(value)) % 3 else None]


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _whole_characters(cut: bytes) -> bytes:
    return cut.decode(errors="ignore").encode()
