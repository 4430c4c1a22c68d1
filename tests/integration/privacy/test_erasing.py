"""Whose account is deleted has nothing left in privacy but the case, whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
import pytest
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.db import Isolation
from tests.integration.in_process import Neighbours
from tests.integration.leaving import deleted, erased, isolation, later, naming
from tests.integration.privacy.conftest import Sql, verified
from tests.integration.privacy.test_consents import MAIL, TRAINING, Person, somebody
from tests.support import FakeClock, eventually

__all__ = ["isolation"]
promise = pytest.mark.promise("9-delete-now", "11-erase")
KNOWN = "SELECT count(*) FROM subjects WHERE account = $1"
HEARD = "SELECT count(*) FROM inbox WHERE key = $1"


async def leave(privacy: Neighbours, account: UUID) -> None:
    """Delete the account, as privacy hears of it."""
    erasure = uuid4()
    await privacy.announce("identity", deleted(account, erasure))
    clock = privacy.service.clock
    assert isinstance(clock, FakeClock)
    found = await erased(await privacy.channel("privacy"), account, erasure, clock)
    assert (list(found.found), list(found.left)) == ([], [])


async def remains(sql: Sql, account: UUID) -> dict[str, int]:
    """Rows that name somebody but the erasure's case, which does until its supplement is signed."""
    found = await naming(sql.fetch, account)
    assert found.pop("erasure_cases", 0) == 1
    return dict(found)


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    privacy: Neighbours, calls: PrivacyServiceStub, sql: Sql, isolation: Isolation
) -> None:
    """They allow things and look at what deleting would do while the rows go; news of them comes twice."""
    chance, ends = random.Random(20261127), Counter[str]()
    for turn in range(10):
        if turn >= 3 and min(ends["done"], ends["refused"]) > 3:
            break  # else a machine that stood still let all be done before, or nobody
        ada = await somebody(calls, privacy)
        preview, who = privacy_pb2.PreviewDeletionRequest(), privacy.signed_in(ada.account)
        at_work: list[Awaitable[Any]] = [
            *(ada.sets(kind, granted=True) for kind in (MAIL, TRAINING)),
            *(ada.sets(kind, granted=False) for kind in (MAIL, TRAINING)),
            *(calls.PreviewDeletion(preview, metadata=who, timeout=20) for _ in range(3)),
            privacy.announce("identity", verified(ada.account)),
        ]
        tasks = [later(chance.uniform(0, 0.1), each) for each in at_work]
        leaving = later(0.02, leave(privacy, ada.account))
        outcomes = await asyncio.gather(*tasks, leaving, return_exceptions=True)
        assert not isinstance(outcomes[-1], BaseException), outcomes[-1]
        for outcome in outcomes[:-1]:
            ends["refused" if isinstance(outcome, BaseException) else "done"] += 1
            assert not isinstance(outcome, BaseException) or _known(outcome), outcome
        await eventually(partial(_only_the_case, sql, ada.account))  # once the relay has sent what it had to
    assert min(ends["done"], ends["refused"]) > 3, ends  # the race was one


async def _only_the_case(sql: Sql, account: UUID) -> bool:
    left = await remains(sql, account)
    assert not left, left
    return True


@promise
@pytest.mark.parametrize("knew", [True, False], ids=["who was here", "who was never heard of"])
async def test_the_news_of_somebody_who_left_changes_nothing(
    privacy: Neighbours, calls: PrivacyServiceStub, sql: Sql, isolation: Isolation, knew: bool
) -> None:
    account = (await somebody(calls, privacy)).account if knew else uuid4()
    await leave(privacy, account)
    late = await privacy.announce("identity", verified(account))
    await eventually(lambda: sql.fetchval(HEARD, late))
    assert await sql.fetchval(KNOWN, account) == 0
    assert await remains(sql, account) == {}
    with pytest.raises(grpc.aio.AioRpcError):
        await Person(account, calls, privacy).sets(MAIL, granted=False)


def _known(error: BaseException) -> bool:
    """A refusal that tells a person what to do, and no fault."""
    known = ("UNAUTHENTICATED", "FAILED_PRECONDITION", "ABORTED")
    return isinstance(error, grpc.aio.AioRpcError) and error.code().name in known
