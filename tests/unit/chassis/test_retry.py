"""What is tried again, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from chassis.errors import NotFound, Unavailable
from chassis.retry import connecting, reading


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        self._error, self._times, self.asked = error, times, 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self._times:
            raise self._error
        return "answer"


@pytest.mark.parametrize("error", [Unavailable(), ConnectionResetError(), TimeoutError()])
async def test_reading_is_tried_three_times_for_what_passes(error: Exception) -> None:
    twice, for_ever = Flaky(error, 2), Flaky(error, 9)

    def ask() -> Awaitable[str]:
        return twice()

    assert await reading(ask, within=5) == "answer"
    with pytest.raises(type(error)):
        await reading(for_ever, within=5)
    assert (twice.asked, for_ever.asked) == (3, 3)


@pytest.mark.parametrize("policy", [lambda call: reading(call, within=5), connecting])
@pytest.mark.parametrize("error", [NotFound(), ValueError("ours")])
async def test_a_refusal_or_a_fault_is_not_tried_again(
    policy: Callable[[Flaky], Awaitable[str]], error: Exception
) -> None:
    flaky = Flaky(error, 1)
    with pytest.raises(type(error)):
        await policy(flaky)
    assert flaky.asked == 1


async def test_reading_ends_with_its_time() -> None:
    flaky = Flaky(Unavailable(), 9)
    with pytest.raises(Unavailable):
        await reading(flaky, within=0)
    assert flaky.asked == 1


async def test_connecting_tries_until_it_is_there() -> None:
    flaky = Flaky(ConnectionRefusedError(), 4)
    assert await connecting(flaky) == "answer"
