"""Faults that tests switch on: what goes wrong, how often, for whom."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Fault(BaseModel):
    """One thing that goes wrong.

    kind: a name the stand-in knows. times: how often; None is until it is switched off. match:
    only where this stands in the text (prompt, recipient); empty is everywhere. seconds: for
    delays and advice to wait.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    times: int | None = Field(default=1, ge=1)
    match: str = ""
    seconds: float = Field(default=1.0, ge=0)


_FAULTS = TypeAdapter(list[Fault])


class FaultPlan:
    """The faults switched on, in order."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._faults: list[Fault] = []

    def replace(self, wanted: bytes) -> None:
        """Switch these on instead of the earlier ones: a JSON list of objects with Fault's fields.

        Raises ValueError with a sentence when it is anything else; the earlier ones then stay.
        """
        faults = _FAULTS.validate_json(wanted)
        for fault in faults:
            if fault.kind not in self._kinds:
                raise ValueError(f"There is no fault {fault.kind!r}; there are {sorted(self._kinds)}.")
        self._faults = faults

    def take(self, text: str, *kinds: str) -> Fault | None:
        """The first fault of these kinds that is meant for `text`, counted as having happened."""
        for fault in self._faults:
            if fault.kind in kinds and fault.match in text:
                self._count(fault)
                return fault
        return None

    def _count(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            # By identity: two equal faults are two.
            self._faults = [f for f in self._faults if f is not fault]

    def listed(self) -> list[dict[str, Any]]:
        """What is still switched on."""
        return [fault.model_dump() for fault in self._faults]
