"""The chain of consents, without a database."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest

from promises.inventory import Basis
from services.privacy.domain import (
    Chain,
    ConsentChange,
    ConsentKind,
    ConsentTextNotShown,
    DocumentKind,
    Posting,
    Wish,
)

ACCOUNT = UUID("00000000-0000-4000-8000-000000000001")
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAIL, TRAINING = ConsentKind.MARKETING_EMAIL, ConsentKind.PUBLIC_OUTPUT_TRAINING
TEXT = Posting(DocumentKind.MARKETING_EMAIL_TEXT, "2025-10-29", "ab" * 32, AT, material=False)
NEW_TEXT = Posting(DocumentKind.MARKETING_EMAIL_TEXT, "2026-10-29", "cd" * 32, AT, material=False)


def change(*wishes: Wish, text: Posting = TEXT) -> list[ConsentChange]:
    """The changes that wishes lead to, one after the other."""
    made: dict[ConsentKind, ConsentChange] = {}
    everything = []
    for number, wish in enumerate(wishes):
        chain = Chain(ACCOUNT, list(made.values()))
        everything.append(chain.next(wish, text, AT, bytes([number]) * 32))
        made[wish.kind] = everything[-1]
    return everything


def give(kind: ConsentKind = MAIL) -> Wish:
    return Wish(kind, granted=True, text_sha256=TEXT.sha256)


def withdraw(kind: ConsentKind = MAIL) -> Wish:
    return Wish(kind, granted=False, text_sha256="")


@pytest.mark.promise("3-marketing-optin", "4-consent")
def test_marketing_is_off_until_it_is_allowed() -> None:
    assert MAIL.basis is Basis.CONSENT
    assert not Chain(ACCOUNT, []).granted(MAIL)
    assert Chain(ACCOUNT, change(give())).granted(MAIL)


@pytest.mark.promise("3-train-public", "4-legitimate", "11-object")
def test_training_with_public_output_is_possible_until_objected_to() -> None:
    assert TRAINING.basis is Basis.LEGITIMATE_INTERESTS
    assert Chain(ACCOUNT, []).granted(TRAINING)
    assert not Chain(ACCOUNT, change(withdraw(TRAINING))).granted(TRAINING)


@pytest.mark.promise("4-consent")
def test_allowing_needs_the_text_that_was_shown() -> None:
    give().check(TEXT)
    for seen in ("", NEW_TEXT.sha256):
        with pytest.raises(ConsentTextNotShown):
            Wish(MAIL, granted=True, text_sha256=seen).check(TEXT)


@pytest.mark.promise("4-withdraw", "11-withdraw")
def test_withdrawing_needs_nothing() -> None:
    withdraw().check(TEXT)


@pytest.mark.promise("4-consent")
def test_a_statement_is_what_it_says_it_is() -> None:
    [first] = change(give())
    assert first.statement == (
        "crafiq consent 1\n"
        "account accounts/00000000-0000-4000-8000-000000000001\n"
        "change 1\n"
        "granted MARKETING_EMAIL\n"
        f"text 2025-10-29 {'ab' * 32}\n"
        "at 2026-01-01T12:00:00.000000Z\n"
        f"after {'00' * 32}\n"
        f"salt {'00' * 32}"
    )
    # Fixed: people keep what they were shown, and it must verify for as long as they do.
    assert first.commitment.hex() == "0a7f4c19784edc75aa9495f916821c2554f37784c4f9e88718febf775759c6fe"


@pytest.mark.promise("4-consent")
def test_each_change_commits_to_the_one_before() -> None:
    first, second, third = change(give(), withdraw(TRAINING), withdraw())
    assert (second.previous, third.previous) == (first.commitment, second.commitment)
    assert [c.number for c in (first, second, third)] == [1, 2, 3]
    for link in (first, second, third):
        assert hashlib.sha256(link.statement.encode()).digest() == link.commitment


def test_wishing_what_stands_changes_nothing_unless_the_text_is_new() -> None:
    first, again = change(give(), give())
    assert again is first
    chain = Chain(ACCOUNT, [first])
    renewed = chain.next(Wish(MAIL, granted=True, text_sha256=NEW_TEXT.sha256), NEW_TEXT, AT, bytes(32))
    assert renewed.number == 2
