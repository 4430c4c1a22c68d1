"""The same as `make chaos`, a little of it."""

from __future__ import annotations

import pytest

from tests.chaos.plan import LAUNCHER, PARTS, rounds
from tests.chaos.rounds import Ground

KILLS = 3


@pytest.mark.timeout(300)
@pytest.mark.promise("9-delete-now", "9-public-remains", "9-public-anon")
async def test_people_leave_whatever_is_killed_meanwhile(ground: Ground, seed: int) -> None:
    (plan,) = rounds(seed, 1, leavers=2, kills=KILLS)
    print(*plan.faults, sep="\n")
    print(await ground.play(plan))
    assert ground.injector.kills == KILLS


def test_a_seed_has_one_plan_and_all_parts_are_in_it() -> None:
    assert rounds(7, 4, cuts=1) == rounds(7, 4, cuts=1)
    assert rounds(7, 3, cuts=1) == rounds(7, 4, cuts=1)[:3]
    assert rounds(7, 4) != rounds(8, 4)
    killed = {fault.part for each in rounds(7, 4, cuts=1) for fault in each.faults}
    assert killed == {*PARTS, LAUNCHER}
