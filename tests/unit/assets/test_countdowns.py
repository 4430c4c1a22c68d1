"""When something that nobody uses goes, and when its owner is told: late is later, never earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assets.domain.countdowns import AGAIN, TOGETHER, Countdown, to_tell

DAY = timedelta(days=1)
USED = datetime(2026, 1, 1, 12, tzinfo=UTC)
MOST = timedelta(days=180)

promise = pytest.mark.promise("9-housekeeping")


def day(number: float) -> datetime:
    """So many days after it was last used."""
    return USED + number * DAY


def begun(used: datetime = USED) -> Countdown:
    return Countdown.begin(uuid4(), uuid4(), used, MOST)


def told(*days: float) -> Countdown:
    """Whose owner was told on these days."""
    countdown = begun()
    for number in days:
        countdown.ask(uuid4(), day(number))
        countdown.hear(day(number))
    return countdown


@promise
def test_what_nobody_uses_goes_after_180_days_and_two_notices() -> None:
    countdown = begun()
    assert countdown.ends(day(0)) == day(180)
    assert not countdown.due(day(149.9))
    assert countdown.due(day(150))
    countdown = told(150)
    assert not countdown.due(day(172.9))
    assert countdown.due(day(173))
    countdown = told(150, 173)
    assert not countdown.due(day(400))
    assert not countdown.over(day(179.9))
    assert countdown.over(day(180))


@promise
@pytest.mark.parametrize(
    ("days", "goes"),
    [
        ((150, 173), 180),
        ((150, 174), 181),
        ((151, 174), 181),
        ((160, 183), 190),
        ((150, 300), 307),
        ((190, 213), 220),
    ],
)
def test_a_notice_that_is_late_makes_it_later(days: tuple[float, ...], goes: float) -> None:
    countdown = told(*days)
    assert countdown.ends(day(0)) == day(goes)
    assert not countdown.over(day(goes - 0.1))
    assert countdown.over(day(goes))


@promise
def test_nothing_goes_without_both_notices_however_long_ago_it_was_used() -> None:
    assert not begun().over(day(5000))
    assert begun().ends(day(5000)) == day(5030)
    assert not told(150).over(day(5000))
    assert told(150).ends(day(5000)) == day(5007)


@promise
def test_the_time_runs_from_the_day_on_which_the_notice_went_out() -> None:
    countdown = begun()
    countdown.ask(uuid4(), day(150))
    assert countdown.ends(day(150)) == day(180)
    countdown.hear(day(150.5))
    assert countdown.ends(day(150.5)) == day(180.5)


@promise
def test_a_notice_that_does_not_go_out_is_asked_for_again() -> None:
    countdown = begun()
    countdown.ask(uuid4(), day(150))
    assert not countdown.due(day(151.9))
    assert countdown.due(day(150) + AGAIN)
    countdown.ask(uuid4(), day(152))
    assert countdown.told == 0
    assert countdown.ends(day(152)) == day(182)


@promise
def test_who_is_told_of_one_is_told_of_the_week_and_of_nothing_else() -> None:
    due, soon, later = begun(), begun(USED + TOGETHER), begun(USED + TOGETHER + DAY)
    asked = begun()
    asked.ask(uuid4(), day(149))
    assert to_tell([soon, due, later, asked], day(150)) == [soon, due]
    assert to_tell([soon, later, asked], day(150)) == []
    reminded = told(150)
    assert to_tell([reminded, due], day(167)) == [reminded, due]


@promise
@given(st.lists(st.floats(0, 400), min_size=2, max_size=2), st.floats(0, 3))
def test_whenever_notices_are_sent_there_are_30_and_7_days_between_them_and_the_end(
    waits: list[float], delay: float
) -> None:
    countdown, sent = begun(), []
    now = day(0)
    for wait in waits:
        now = max(now + wait * DAY, now)
        if not countdown.due(now):
            now = countdown.remove_at - (30, 7)[countdown.told] * DAY
        assert countdown.due(now)
        countdown.ask(uuid4(), now)
        now += delay * DAY
        countdown.hear(now)
        sent.append(now)
    first, second = sent
    assert countdown.remove_at >= max(day(180), first + 30 * DAY, second + 7 * DAY)
    assert countdown.over(countdown.remove_at)
