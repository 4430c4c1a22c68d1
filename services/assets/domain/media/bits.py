"""Reading bits that may be anything: every step is checked, the only error is ContentDamaged."""

from __future__ import annotations

from typing import Self

from services.assets.domain.media.cursor import ENDS_EARLY
from services.assets.domain.refusals import ContentDamaged


class Bits:
    """A position in bits, which are kept as text: that is how Python finds and cuts them fastest."""

    __slots__ = ("_little", "at", "text")

    def __init__(self, text: str, *, little: bool = False) -> None:
        self.text, self.at, self._little = text, 0, little

    @classmethod
    def big(cls, data: bytes) -> Self:
        """Bits from the most significant of each byte on, as FLAC and AAC have them."""
        return cls(_text(int.from_bytes(data), len(data)))

    @classmethod
    def little(cls, data: bytes) -> Self:
        """Bits from the least significant of each byte on, as Vorbis has them."""
        return cls(_text(int.from_bytes(data, "little"), len(data))[::-1], little=True)

    def number(self, size: int) -> int:
        """The next `size` bits as an unsigned number."""
        self.skip(size)
        digits = self.text[self.at - size : self.at]
        return int((digits[::-1] if self._little else digits) or "0", 2)

    def skip(self, size: int) -> None:
        """Pass over `size` bits."""
        if size < 0 or size > len(self.text) - self.at:
            raise ContentDamaged(problem=ENDS_EARLY)
        self.at += size

    def zeros(self) -> int:
        """How many zeros stand before the next one, which is passed over as well."""
        found = self.text.find("1", self.at)
        if found < 0:
            raise ContentDamaged(problem=ENDS_EARLY)
        zeros, self.at = found - self.at, found + 1
        return zeros


def _text(number: int, size: int) -> str:
    return f"{number:0{8 * size}b}" if size else ""
