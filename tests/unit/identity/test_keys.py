"""Key rotation as a rule about times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.identity.domain.keys import ACCESS_LIFETIME, CLOCK_SKEW, KeyAge, ring

START = datetime(2026, 1, 1, tzinfo=UTC)
LEAD = timedelta(minutes=10)
OLD = KeyAge("old", START)
NEW = KeyAge("new", START + timedelta(days=90))


def test_the_first_key_signs_at_once() -> None:
    assert ring([OLD], START, LEAD).signs == "old"


def test_a_new_key_is_published_before_it_signs() -> None:
    young = ring([OLD, NEW], NEW.since + timedelta(minutes=9), LEAD)
    assert young.signs == "old"
    assert young.verify == ("new", "old")


def test_a_succeeded_key_verifies_until_none_of_its_tokens_can_live() -> None:
    succession = NEW.since + LEAD
    last = succession + ACCESS_LIFETIME + CLOCK_SKEW
    assert ring([OLD, NEW], succession, LEAD).signs == "new"
    assert ring([OLD, NEW], last - timedelta(seconds=1), LEAD).verify == ("new", "old")
    assert ring([OLD, NEW], last, LEAD).verify == ("new",)


def test_removing_a_leaked_key_makes_the_new_one_sign_at_once() -> None:
    assert ring([NEW], NEW.since, LEAD).signs == "new"


def test_a_folder_without_keys_is_an_error() -> None:
    with pytest.raises(ValueError, match="no signing key"):
        ring([], START, LEAD)
