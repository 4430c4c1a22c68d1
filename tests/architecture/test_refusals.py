"""Every refusal can be told apart, can be said where it is raised, and says nothing of anybody."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import string
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import chassis
import promises
import services
from chassis.errors import Refusal
from deploy.local.infra import SERVICES
from tests.architecture.test_protos import PERSONAL_NAMES

ROOT = Path(__file__).resolve().parents[2]
OF_ALL = {"violations", "retry_after"}  # what every refusal may have beside its variables


@cache
def _refusals() -> tuple[type[Refusal], ...]:
    """All of ours, with the kinds that are there to be refined."""
    for package in (chassis, promises, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not {"__main__", "migrations"} & set(module.name.split(".")):
                importlib.import_module(module.name)
    found, waiting = [], [Refusal]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.split(".")[0] in ("chassis", "promises", "services"):
            found.append(kind)
    return tuple(found)


def _variables(kind: type[Refusal]) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(kind.sentence) if name}


def test_there_are_refusals_of_every_service_to_check() -> None:
    owners = {".".join(kind.__module__.split(".")[:2]) for kind in _refusals()}
    assert {f"services.{name}" for name in SERVICES} <= owners


@pytest.mark.parametrize("service", SERVICES)
def test_a_reason_means_one_thing_in_a_service(service: str) -> None:
    """What it raises is its own, the chassis's, or the promises'."""
    within = ("chassis.", "promises.", f"services.{service}.")
    reasons = Counter(kind.reason for kind in _refusals() if f"{kind.__module__}.".startswith(within))
    assert not [reason for reason, times in reasons.items() if times > 1]


def test_what_a_refusal_says_is_never_personal() -> None:
    found = {kind.__name__: _variables(kind) & PERSONAL_NAMES for kind in _refusals()}
    assert not {name: variables for name, variables in found.items() if variables}


Made = tuple[str, type[Refusal], set[str]]


def _made() -> Iterator[Made]:
    """Where a refusal is made: the place, its class, the names of what it is given."""
    for package in ("chassis", "promises", *(f"services/{name}" for name in SERVICES)):
        within = ("chassis.", "promises.", f"{package.replace('/', '.')}.")
        kinds = {kind.__name__: kind for kind in _refusals() if kind.__module__.startswith(within)}
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id in kinds:
                    yield place, kinds[node.exc.id], set()
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                    given = {keyword.arg for keyword in node.keywords}
                    if None not in given:  # `**more` is seen at run time only
                        yield place, kinds[node.func.id], {str(name) for name in given}


def test_whoever_refuses_gives_every_variable_of_the_sentence() -> None:
    made = list(_made())
    assert len(made) > 100
    mute = [place for place, kind, given in made if _variables(kind) - given]
    assert not mute, "Without its variables a sentence can't be said: that would be INTERNAL."


def test_what_travels_with_a_refusal_is_never_personal() -> None:
    leaks = [
        f"{place} {kind.__name__}" for place, kind, given in _made() if (given - OF_ALL) & PERSONAL_NAMES
    ]
    assert not leaks
