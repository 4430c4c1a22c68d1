"""What a person asks for, checked and priced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from services.generation.domain.catalogue import Catalogue, Model, Task
from services.generation.domain.refusals import (
    CountTooLarge,
    InputRequired,
    InputsTooLarge,
    InputsTooMany,
    InputTypeUnsupported,
    InputUnwanted,
    ParametersRefused,
    PromptRequired,
    PromptUnreadable,
    TaskUnsupported,
)

# Everything below U+0020 but tab, line feed and carriage return; DEL and the C1 controls.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

MOST_VIOLATIONS = 10
"""Errors travel in headers, which have little room."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What arrived: nothing in it is believed yet. `inputs` are `assets/{uuid}`.

    `parameters`: by name; None stands for a value that is not a word.
    """

    model: str
    task: Task
    prompt: str
    inputs: tuple[str, ...]
    count: int
    parameters: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Quote:
    """A wish that can be carried out, and its price.

    `unit_credits` is for one Output; `parameters` has a value for everything the model offers.
    """

    name: str
    model: Model
    wish: Wish
    parameters: Mapping[str, str]
    unit_credits: int

    @property
    def credits(self) -> int:
        """The most it can cost."""
        return self.unit_credits * self.wish.count

    def check_inputs(self, inputs: Sequence[tuple[str, str, int]]) -> None:
        """Check (asset, type found in its bytes, length) against what the model reads.

        Raises InputTypeUnsupported, InputsTooLarge.
        """
        for asset, found, _ in inputs:
            if found not in self.model.input_types:
                wanted = " or ".join(self.model.input_types)
                raise InputTypeUnsupported(model=self.name, asset=asset, type=found, wanted=wanted)
        if sum(size for _, _, size in inputs) > self.model.max_input_bytes:
            raise InputsTooLarge(model=self.name, most=self.model.max_input_bytes // 1_000_000)


def quote(catalogue: Catalogue, wish: Wish, now: datetime) -> Quote:
    """Check a wish and price it. Raises the refusals of `services.generation.domain.refusals`."""
    name, model = catalogue.choose(wish.model, wish.task, now)
    if wish.task not in model.tasks:
        raise TaskUnsupported(model=name, task=wish.task, violations=[("task", f"not one of {name}'s")])
    _check_prompt(wish)
    _check_inputs(name, model, wish)
    if wish.count > model.max_count:
        violation = ("count", f"at most {model.max_count}")
        raise CountTooLarge(model=name, most=model.max_count, violations=[violation])
    assert model.credits is not None, "an unpriced model is never chosen"
    return Quote(name, model, wish, _parameters(name, model, wish), model.credits)


def _check_prompt(wish: Wish) -> None:
    if CONTROL_CHARACTERS.search(wish.prompt):
        raise PromptUnreadable(violations=[("prompt", "control characters")])
    if not wish.prompt.strip():
        raise PromptRequired(task=wish.task, violations=[("prompt", "empty")])


def _check_inputs(name: str, model: Model, wish: Wish) -> None:
    if wish.inputs and not wish.task.takes_input:
        raise InputUnwanted(task=wish.task, violations=[("inputAssets", "not taken by this task")])
    if wish.task.takes_input and not wish.inputs:
        raise InputRequired(task=wish.task, violations=[("inputAssets", "at least one")])
    if len(wish.inputs) > model.max_inputs:
        violation = ("inputAssets", f"at most {model.max_inputs}")
        raise InputsTooMany(model=name, most=model.max_inputs, violations=[violation])


def _parameters(name: str, model: Model, wish: Wish) -> dict[str, str]:
    """What to send: what the person chose, and the model's own choice for the rest."""
    wrong = [
        (f"parameters.{_readable(key)}", _offer(model, key))
        for key, value in wish.parameters.items()
        if value not in model.parameters.get(key, ())
    ]
    if wrong:
        _refuse_parameters(name, model, wrong[:MOST_VIOLATIONS])
    return {key: wish.parameters.get(key) or values[0] for key, values in model.parameters.items()}


def _readable(key: str) -> str:
    # What a person wrote there may be anything; only what looks like a parameter is repeated.
    return key if re.fullmatch(r"[A-Za-z0-9_]{1,40}", key) else "(unreadable)"


def _offer(model: Model, key: str) -> str:
    if key not in model.parameters:
        return "not a parameter of this model"
    return "one of " + ", ".join(model.parameters[key])


def _refuse_parameters(name: str, model: Model, wrong: list[tuple[str, str]]) -> NoReturn:
    raise ParametersRefused(model=name, offered=", ".join(model.parameters) or "none", violations=wrong)
