"""Page tokens keep what was put in, and are good for one list of one person."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.pages import Pages, PageTokenInvalid, size

PAGES = Pages(b"k" * 32)
ACCOUNT = uuid4()
PART = st.one_of(st.text(), st.integers(), st.uuids(), st.datetimes(timezones=st.just(UTC)))


@settings(deadline=None)  # on a busy machine a first call may take long
@given(position=st.lists(PART, max_size=4).map(tuple))
def test_the_position_comes_back_with_its_types(position: tuple[str | int | UUID | datetime, ...]) -> None:
    token = PAGES.encode("assets", ACCOUNT, position)
    assert PAGES.decode("assets", ACCOUNT, token) == position


def test_no_token_is_the_beginning() -> None:
    assert PAGES.decode("assets", ACCOUNT, "") is None


@pytest.mark.parametrize(
    ("list_name", "account"),
    [("packs", ACCOUNT), ("assets", uuid4()), ("assets", None), ("assets?f=1", ACCOUNT)],
)
def test_a_token_of_another_list_or_person_is_refused(list_name: str, account: UUID | None) -> None:
    token = PAGES.encode("assets", ACCOUNT, (1,))
    with pytest.raises(PageTokenInvalid):
        PAGES.decode(list_name, account, token)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(PageTokenInvalid):
        PAGES.decode("assets", ACCOUNT, Pages(b"x" * 32).encode("assets", ACCOUNT, (1,)))


def test_a_token_that_was_changed_is_refused() -> None:
    raw = bytearray(base64.urlsafe_b64decode(PAGES.encode("assets", ACCOUNT, ("abcdef",)) + "=="))
    for place in range(len(raw)):
        forged = bytearray(raw)
        forged[place] ^= 1
        with pytest.raises(PageTokenInvalid):
            PAGES.decode("assets", ACCOUNT, base64.urlsafe_b64encode(forged).decode().rstrip("="))


@settings(deadline=None)  # on a busy machine a first call may take long
@given(token=st.text(min_size=1))
def test_whatever_else_comes_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        PAGES.decode("assets", ACCOUNT, token)


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
def test_a_large_page_is_made_smaller(asked: int, given_: int) -> None:
    assert size(asked) == given_
