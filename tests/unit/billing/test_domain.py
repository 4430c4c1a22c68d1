"""What the ledger's rules say, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from promises.inventory import check
from services.billing.domain import (
    BOOKS_GROUND,
    Entry,
    Hold,
    HoldMismatch,
    HoldReleased,
    HoldState,
    InsufficientCredits,
    NameInvalid,
    Placement,
    Row,
    TransferKind,
    id_of,
    kept_until,
)
from services.privacy.domain.plans import sentences_with

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = uuid4()


def hold(state: HoldState = HoldState.HELD, held: int = 8) -> Hold:
    return Hold(
        generation=JOB, book=uuid4(), credits=held, captured=0, state=state, placed_at=NOW, expires_at=NOW
    )


def entry(kind: TransferKind, available: int, held: int) -> Entry:
    return Entry(uuid4(), NOW, kind, None, available, held)


@pytest.mark.promise("2-inventory")
def test_every_column_says_what_it_holds() -> None:
    assert check(Row.metadata) == []


def test_a_hold_that_stands_is_the_answer_also_when_asked_again() -> None:
    for state in (HoldState.HELD, HoldState.CAPTURED):
        assert Placement(0, True, hold(state)).accepted(JOB, 8).state is state


def test_too_few_credits_are_refused_with_both_numbers() -> None:
    with pytest.raises(InsufficientCredits, match="needs 8 credits and 5 are available") as refused:
        Placement(5, False, None).accepted(JOB, 8)
    assert refused.value.reason == "INSUFFICIENT_CREDITS"
    assert refused.value.metadata == {"needed": "8", "available": "5"}


def test_another_amount_for_the_same_generation_is_refused() -> None:
    with pytest.raises(HoldMismatch):
        Placement(100, True, hold(held=9)).accepted(JOB, 8)


def test_another_persons_generation_is_refused() -> None:
    with pytest.raises(HoldMismatch):
        Placement(100, False, hold()).accepted(JOB, 8)


def test_what_was_given_back_is_not_placed_again() -> None:
    with pytest.raises(HoldReleased):
        Placement(100, True, hold(HoldState.RELEASED)).accepted(JOB, 8)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (entry(TransferKind.GRANT, 100, 0), "100 credits given to you."),
        (entry(TransferKind.HOLD, -4, 4), "4 credits set aside for a generation."),
        (entry(TransferKind.CAPTURE, 0, -4), "4 credits charged for what a generation delivered."),
        (
            entry(TransferKind.CAPTURE, 3, -4),
            "1 credit charged for what a generation delivered, 3 given back.",
        ),
        (entry(TransferKind.RELEASE, 4, -4), "4 credits given back: the generation delivered nothing."),
        (entry(TransferKind.EXPIRY, -1, 0), "1 credit ended unused."),
        (entry(TransferKind.CARRY, 3, 0), "3 credits carried forward."),
    ],
)
def test_an_entry_tells_its_person_what_happened(shown: Entry, sentence: str) -> None:
    assert shown.description == sentence


@pytest.mark.parametrize(
    "name",
    [
        "generations/",
        "accounts/00000000-0000-4000-8000-000000000000",
        "generations/00000000-0000-4000-8000-00000000000",
        "generations/00000000-0000-4000-8000-00000000000G",
        "generations/00000000-0000-4000-8000-00000000000A",
        "generations/{00000000-0000-4000-8000-000000000000}",
        "generations/00000000-0000-4000-8000-000000000000/",
    ],
)
def test_a_name_that_can_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        id_of(name, "generations", "generation")
    assert refused.value.violations[0][0] == "generation"


def test_a_name_gives_its_id() -> None:
    assert id_of(f"generations/{JOB}", "generations", "generation") == UUID(str(JOB))


@pytest.mark.promise("9-tax", "4-obligation")
@pytest.mark.parametrize(
    ("deleted_at", "over"),
    [
        ("2026-01-01T00:00:00+00:00", 2037),
        ("2026-12-31T23:59:59+00:00", 2037),
        ("2027-01-01T00:30:00+01:00", 2037),
        ("2024-02-29T12:00:00+00:00", 2035),
    ],
)
def test_books_are_kept_ten_whole_years_after_that_of_the_deletion(deleted_at: str, over: int) -> None:
    assert kept_until(datetime.fromisoformat(deleted_at)) == datetime(over, 1, 1, tzinfo=UTC)


@pytest.mark.promise("9-tax", "9-delete-preview")
def test_the_ground_is_in_the_policys_own_sentence_on_payments() -> None:
    folder = Path("services/privacy/documents")
    for text in folder.glob("privacy-policy-*.txt"):
        said = sentences_with(text.read_text(encoding="utf-8"), BOOKS_GROUND)
        assert said.startswith("Payments and records: We keep transaction and invoicing records as required")
