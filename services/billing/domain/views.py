"""What the ledger answers: balances, entries, what asking for a hold came to; and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing.domain.refusals import HoldMismatch, HoldReleased, InsufficientCredits
from services.billing.domain.rows import Hold, HoldState, TransferKind


@dataclass(frozen=True, slots=True)
class Gift:
    """Credits that a person is given, and how long they last; None is for ever."""

    credits: int
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: whether it ended, and at which price."""

    ended: bool
    price: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """A person's credits; each that was ever granted is in one of the three, or expired."""

    available: int
    held: int
    settled: int


@dataclass(frozen=True, slots=True)
class Placement:
    """What asking for a hold came to: the hold that stands, if one does, and what else there is.

    `own` says whether that hold is in the asking wallet's book.
    """

    available: int
    own: bool
    hold: Hold | None

    def accepted(self, generation: UUID, needed: int) -> Hold:
        """The hold that was asked for; the same one when asked again.

        Raises InsufficientCredits, HoldMismatch (another amount, another person's), HoldReleased.
        """
        if self.hold is None:
            raise InsufficientCredits(needed=needed, available=self.available)
        if self.hold.state is HoldState.RELEASED:
            raise HoldReleased(generation=generation)
        if not self.own or self.hold.credits != needed:
            raise HoldMismatch(generation=generation)
        return self.hold


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction as its person sees it: how `available` and `held` changed.

    `kind` is CAPTURE also where the rest of the hold was released in the same transaction. `ends_at` is
    when granted credits end, if they do.
    """

    transaction: UUID
    at: datetime
    kind: TransferKind
    generation: UUID | None
    available_delta: int
    held_delta: int
    ends_at: datetime | None = None

    @property
    def description(self) -> str:
        """What happened, as a sentence."""
        match self.kind:
            case TransferKind.GRANT:
                until = f", usable until {self.ends_at:%Y-%m-%d %H:%M} UTC" if self.ends_at else ""
                return f"{_credits(self.available_delta)} given to you{until}."
            case TransferKind.HOLD:
                return f"{_credits(self.held_delta)} set aside for a generation."
            case TransferKind.CAPTURE:
                charged = -self.held_delta - self.available_delta
                rest = f", {self.available_delta} given back" if self.available_delta else ""
                return f"{_credits(charged)} charged for what a generation delivered{rest}."
            case TransferKind.RELEASE:
                return f"{_credits(self.available_delta)} given back: the generation delivered nothing."
            case TransferKind.EXPIRY:
                return f"{_credits(-self.available_delta)} ended unused."
            case TransferKind.CARRY:  # in the house's book, which nobody reads
                return f"{_credits(self.available_delta)} carried forward."


def _credits(number: int) -> str:
    return "1 credit" if number == 1 else f"{number} credits"
