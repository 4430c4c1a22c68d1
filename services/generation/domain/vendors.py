"""What is asked of a vendor, and every way it can end.

The result says what is *known*, because that decides what may be done next: only what was provably
not accepted may be asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.generation.domain.catalogue import Task, VendorCard
from services.generation.domain.states import FailureReason


@dataclass(frozen=True, slots=True)
class Input:
    """One Input as it is sent: its name here, its bytes, the type found in them."""

    asset: str
    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Order:
    """Everything a vendor gets to know. There is nothing in it about who asks."""

    model: str
    task: Task
    prompt: str
    count: int
    parameters: Mapping[str, str]
    inputs: tuple[Input, ...]

    @property
    def size_bytes(self) -> int:
        """How much content of a person leaves: words in UTF-8, and pictures."""
        return len(self.prompt.encode()) + sum(len(one.content) for one in self.inputs)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The vendor answered. `media` are the bytes it called Output, not looked at yet; none is possible."""

    media: tuple[bytes, ...]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ContentRefused:
    """The vendor will not make this."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Provably not accepted.

    `again`: asking once more may help, after `wait` if the vendor said so. `arrived`: the vendor read
    the order before it declined, so that it may keep a copy. `reason`: what the person is told in the end.
    """

    cause: str
    again: bool = False
    wait: timedelta | None = None
    reason: FailureReason = FailureReason.VENDOR_UNAVAILABLE
    arrived: bool = True
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It was sent, and what became of it is not known: the vendor may be at work, and may charge."""

    cause: str
    reference: str = ""


Result = Delivered | ContentRefused | NotAccepted | Unanswered


class Vendor(Protocol):
    """One vendor's wire format. Implementations call once and never retry."""

    def fields(self, order: Order) -> tuple[str, ...]:
        """The names of everything `generate` will send; a test compares them with the wire."""
        ...

    async def generate(self, order: Order) -> Result:
        """Ask for the order, once. Raises nothing: every end is a Result."""
        ...

    async def purge(self, reference: str, /) -> bool:
        """Have the copy of a request removed, by the vendor's own id of it.

        True if it is gone. False if the vendor offers no such thing, and it ends by the vendor's own
        clock. Raises Unavailable if it may be asked again. Asked twice, it is gone all the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to ask again what was provably not accepted: delays double from `first` up to `longest`."""

    tries: int = 4
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(seconds=60)

    def delay(self, tried: int, result: NotAccepted) -> timedelta | None:
        """How long to wait after try number `tried` (from 1); None if that was the last."""
        if not result.again or tried >= self.tries:
            return None
        doubled: timedelta = self.first * 2 ** (tried - 1)
        return min(max(doubled, result.wait or timedelta(0)), self.longest)


@dataclass(frozen=True, slots=True)
class Route:
    """A vendor that is really configured. `sandbox`: its address is the local stand-in's."""

    name: str
    vendor: Vendor
    card: VendorCard
    sandbox: bool
