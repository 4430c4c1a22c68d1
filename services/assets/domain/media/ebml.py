"""Elements of EBML (RFC 8794), of which WebM is made: read where they stand, written anew."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TypeAlias

from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged

_UNSIZED = "one of its parts has no length"


class Kind(Enum):
    """What stands in an element."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLOAT = "float"
    BYTES = "bytes"


Schema: TypeAlias = "Mapping[int, Kind | Schema]"
"""The elements that are read, by identifier, in the order in which they are written."""
Value: TypeAlias = "int | float | bytes | dict[int, Value]"


class Reader:
    """Reads elements, all in all at most as many as it was made for."""

    def __init__(self, most: int) -> None:
        self._left = most

    def elements(self, cursor: Cursor) -> Iterator[tuple[int, Cursor]]:
        """Identifier and body of each element up to the end; raises ContentDamaged."""
        while cursor.left:
            identifier, size = self.head(cursor)
            if size is None:
                raise ContentDamaged(problem=_UNSIZED)
            yield identifier, cursor.sub(size)

    def head(self, cursor: Cursor) -> tuple[int, int | None]:
        """Identifier and size of the element that begins here; None if it does not say how long it is."""
        self._left -= 1
        if self._left < 0:
            raise ContentDamaged(problem="it has too many parts")
        first = cursor.number(1)
        more = 8 - first.bit_length()
        if more > 3:
            raise ContentDamaged(problem="there is something between its parts")
        return first << 8 * more | cursor.number(more), variable(cursor)

    def values(self, cursor: Cursor, schema: Schema, repeated: int | None = None) -> dict[int, Value]:
        """What the elements of `schema` say; others are passed over.

        Two of one kind contradict each other, but of the `repeated` kind the first counts.
        """
        found: dict[int, Value] = {}
        for identifier, body in self.elements(cursor):
            kind = schema.get(identifier)
            if kind is None:
                continue
            if identifier in found and identifier == repeated:
                continue
            if identifier in found:
                raise ContentDamaged(problem="it says one thing twice")
            found[identifier] = _value(body, kind) if isinstance(kind, Kind) else self.values(body, kind)
        return found


def _value(body: Cursor, kind: Kind) -> Value:
    content = bytes(body.take(body.left))
    if kind is Kind.BYTES:
        return content
    if len(content) > 8:
        raise ContentDamaged(problem="one of its numbers is none")
    if kind is not Kind.FLOAT:
        return int.from_bytes(content, signed=kind is Kind.SIGNED)
    if len(content) not in {0, 4, 8}:
        raise ContentDamaged(problem="one of its numbers is none")
    number: float = struct.unpack(">f" if len(content) == 4 else ">d", content or bytes(8))[0]
    if not math.isfinite(number):
        raise ContentDamaged(problem="one of its numbers is none")
    return number


def variable(cursor: Cursor) -> int | None:
    """A number of variable length; None if all its bits are ones."""
    first = cursor.number(1)
    more = 8 - first.bit_length()
    if more > 7:
        raise ContentDamaged(problem=_UNSIZED)
    number = (first ^ 0x80 >> more) << 8 * more | cursor.number(more)
    return None if number == (1 << 7 * (more + 1)) - 1 else number


def element(identifier: int, *parts: bytes | bytearray | memoryview) -> bytes:
    """An element."""
    size = sum(len(part) for part in parts)
    length = (size + 1).bit_length() // 7 + 1 if (size + 1).bit_length() % 7 else (size + 1).bit_length() // 7
    return b"".join((_name(identifier), (size | 1 << 7 * length).to_bytes(length), *parts))


def _name(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8)


def written(values: Mapping[int, Value], schema: Schema) -> bytes:
    """The elements that say so, in the order of the schema."""
    return b"".join(
        element(identifier, _encoded(values[identifier], kind))
        for identifier, kind in schema.items()
        if identifier in values
    )


def _encoded(value: Value, kind: Kind | Schema) -> bytes:
    if isinstance(value, dict):
        assert not isinstance(kind, Kind)
        return written(value, kind)
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        return struct.pack(">d", value)
    size = value.bit_length() // 8 + 1 if kind is Kind.SIGNED else max(1, (value.bit_length() + 7) // 8)
    return value.to_bytes(size, signed=kind is Kind.SIGNED)
