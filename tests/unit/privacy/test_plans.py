"""A plan has words for whatever any service keeps, and says whose words they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from deploy.local.infra import SERVICES
from promises.inventory import RETAIN, RETAINED, Declaration, declared
from promises.shares import BACKUPS_GROUND
from services.privacy.adapters import packaged
from services.privacy.domain import DocumentKind
from services.privacy.domain.plans import OUR_WORDS, TOMBSTONE_GROUND, words_on

ROOT = Path(__file__).parents[3]
FRAUD, TERMS = "to prevent fraud, abuse, and chargebacks", "according to their own terms and privacy policies"
LAW = "as required by applicable law (e.g., tax and accounting)"
FAREWELL = "until the mail that confirms the deletion is sent"
POLICY = max(
    (each for each in packaged() if each.kind is DocumentKind.POLICY), key=lambda each: each.effective_at
).text


def of_columns(service: str) -> Iterator[str]:
    """On which grounds a service's rows outlive their person, by its inventory."""
    for table in import_module(f"services.{service}.domain").Row.metadata.sorted_tables:
        for what in (declared(column) for column in table.columns):
            if isinstance(what, Declaration) and what.erase is RETAIN:
                # Of a person who lives, the ground is that of the copy.
                yield (what.keep if table.name.startswith(RETAINED) else what.afterwards or what.keep).rule


def of_what_is_not_a_row(service: str) -> Iterator[str]:
    """The grounds of each `Share(category, RETAINED_UNTIL, count, ground, ...)` in a service's code."""
    for path in (ROOT / "services" / service).rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        for call in calls:
            said = [ast.unparse(each) for each in call.args]
            if ast.unparse(call.func) == "Share" and said[1].endswith("RETAINED_UNTIL"):
                module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                yield eval(said[3], vars(module))  # noqa: S307  # an expression of our own code


def grounds() -> set[str]:
    """Of all services together."""
    return {
        ground
        for service in SERVICES
        for found in (of_columns(service), of_what_is_not_a_row(service))
        for ground in found
    }


@pytest.mark.promise("9-delete-preview")
def test_these_are_all_grounds_on_which_anything_is_kept() -> None:
    assert grounds() == {FRAUD, FAREWELL, TERMS, LAW, TOMBSTONE_GROUND}


@pytest.mark.promise("9-delete-preview")
def test_every_ground_that_any_service_declares_has_words() -> None:
    for ground in grounds():
        said = words_on("RETAINED_UNTIL", ground, POLICY)
        assert said, f"Neither the policy nor OUR_WORDS says anything of what is kept {ground!r}."
        assert (said in POLICY) is (ground not in OUR_WORDS)
        assert said.startswith("The policy does not speak of this") is (ground in OUR_WORDS)


def test_we_have_no_words_for_what_nobody_keeps() -> None:
    assert OUR_WORDS.keys() <= grounds()


@pytest.mark.promise("9-delete-preview", "9-fraud-6m", "9-copies", "9-backup-30d")
@pytest.mark.parametrize(
    ("fate", "ground", "words"),
    [
        ("ERASED_NOW", "", "cancel any active subscriptions"),
        ("ANONYMISED", "", "removing your username and profile association"),
        ("ANONYMISED", "", "Copies shared or embedded by others may persist."),
        ("IN_BACKUPS_UNTIL", BACKUPS_GROUND, "up to 30 days"),
        ("RETAINED_UNTIL", FRAUD, "up to 6 months after account deletion"),
        ("RETAINED_UNTIL", TERMS, "These providers process your Input"),
        ("RETAINED_UNTIL", LAW, "We keep transaction and invoicing records"),
        ("RETAINED_UNTIL", FAREWELL, "a day at most"),
        ("RETAINED_UNTIL", TOMBSTONE_GROUND, "whatever is restored is deleted again"),
    ],
)
def test_the_words_say_what_becomes_of_it(fate: str, ground: str, words: str) -> None:
    assert words in words_on(fate, ground, POLICY)
