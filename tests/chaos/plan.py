"""What goes wrong, with whom, and when: drawn from a seed, so that a run can be played again.

The plan is the same for the same seed. What a process is at when its moment comes is not ours to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from deploy.local.infra import SERVICES

SANDBOX = ("sandbox-openai", "sandbox-smtp", "sandbox-stripe")
PARTS = (*SERVICES, "gateway", "nats", "s3", "postgres", *SANDBOX)
LAUNCHER = "launcher"
"""Killing it kills all of them at once, as a power cut would."""
SOONEST, LATEST = 0.002, 4.0  # seconds from the first wish to be deleted


class Kind(StrEnum):
    """What is done to a process."""

    KILL = "kill -9"
    STOP = "stop"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, `after` seconds; a frozen process goes on after `seconds`."""

    kind: Kind
    part: str
    after: float
    seconds: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.after:6.3f} s: {self.kind} {self.part}{lasts}"


@dataclass(frozen=True, slots=True)
class Round:
    """Some people leave, each after one of `waits`, while `faults` happen.

    `seed` draws what is left to chance besides: the order and the delay of repeated messages.
    """

    seed: str
    waits: tuple[float, ...]
    faults: tuple[Fault, ...]

    @property
    def kills(self) -> int:
        """How many processes are killed, the launcher counted as one."""
        return sum(fault.kind is Kind.KILL for fault in self.faults)


class Deck:
    """Deals each of some names once before any of them comes again, in an order left to chance."""

    def __init__(self, names: Sequence[str], chance: Random) -> None:
        self._names, self._chance = tuple(names), chance
        self._left: list[str] = []

    def deal(self) -> str:
        """The next one."""
        if not self._left:
            self._left = self._chance.sample(self._names, len(self._names))
        return self._left.pop()


def rounds(seed: int, number: int, *, leavers: int = 4, kills: int = 6, cuts: int = 0) -> list[Round]:
    """So many rounds of so many kills, with stops and freezes among them.

    The first `cuts` rounds kill the launcher as well. A later round is the same however many there are.
    """
    chance = Random(seed)
    deck = Deck(PARTS, chance)
    return [_round(f"{seed}/{at}", chance, deck, leavers, kills, cut=at < cuts) for at in range(number)]


def _round(seed: str, chance: Random, deck: Deck, leavers: int, kills: int, *, cut: bool) -> Round:
    faults = [Fault(Kind.KILL, deck.deal(), _moment(chance)) for _ in range(kills - cut)]
    if cut:
        faults.append(Fault(Kind.KILL, LAUNCHER, _moment(chance)))
    faults.append(Fault(Kind.FREEZE, deck.deal(), _moment(chance), round(chance.uniform(0.3, 3.0), 1)))
    if chance.random() < 0.5:
        faults.append(Fault(Kind.STOP, deck.deal(), _moment(chance)))
    waits = tuple(round(chance.uniform(0, 1.0), 3) for _ in range(leavers))
    return Round(seed, waits, tuple(sorted(faults, key=lambda fault: fault.after)))


def _moment(chance: Random) -> float:
    """As likely in each power of ten: most of an erasure happens in its first tenth of a second."""
    low, high = SOONEST, LATEST
    return round(float(low * (high / low) ** chance.random()), 3)
