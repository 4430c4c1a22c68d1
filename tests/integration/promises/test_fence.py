"""Nothing of a person survives the person, whatever is written at that very moment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.assets.v1 import assets_pb2
from sqlalchemy import bindparam, select, text, update
from sqlmodel import col

from chassis.db import Contended, Database, Isolation, Request, Statement
from chassis.errors import SubjectUnknown
from promises.erasing import Erasing, Wanted
from promises.subjects import begin, tombstoned
from tests.integration.chassis_data.rows import Row, Work
from tests.integration.chassis_data.test_relay import revoked
from tests.integration.chassis_data.test_statements import a_note

WORK = Statement(select(Work).where(col(Work.id) == bindparam("work")), Work)
RETITLE = Statement(update(Work).where(col(Work.id) == bindparam("work")).values(title=bindparam("new")))
LIKE = Statement(update(Work).where(col(Work.id) == bindparam("work")).values(likes=col(Work.likes) + 1))
DELETE = Statement(text("DELETE FROM subjects WHERE account = :account"))
ERASING = Erasing(Row.metadata)
ISOLATIONS: tuple[Isolation, ...] = ("read_committed", "repeatable_read")

both = pytest.mark.parametrize("isolation", ISOLATIONS)
promise = pytest.mark.promise("9-delete-now", "9-public-anon")


async def erase(db: Database, account: UUID, isolation: Isolation = "read_committed") -> None:
    """Again and again: a writer that holds one of the rows and now wants the subject is a deadlock."""
    await over_and_over(erase_or_collide, db, account, isolation)


async def over_and_over(action: Callable[..., Awaitable[bool | None]], *arguments: Any) -> bool | None:
    """What consumers do whom the database tells to come back."""
    while True:
        try:
            return await action(*arguments)
        except Contended:
            continue


async def erase_or_collide(db: Database, account: UUID, isolation: Isolation = "read_committed") -> None:
    async with db.transaction(isolation) as tx:
        await ERASING.erase(tx, Wanted(account, uuid4(), db.clock.now()))


async def traces(sql: asyncpg.Connection, account: UUID) -> int:
    """Rows that still say something about the person."""
    return await sql.fetchval(
        "SELECT (SELECT count(*) FROM notes WHERE account = $1)"
        " + (SELECT count(*) FROM requests WHERE account = $1)"
        " + (SELECT count(*) FROM works WHERE account = $1 OR account IS NULL AND title IS NOT NULL)"
        " + (SELECT count(*) FROM subjects WHERE account = $1)",
        account,
    )


def a_work(account: UUID) -> Work:
    return Work(id=uuid4(), account=account, title="Mine", likes=0)


@promise
@pytest.mark.timeout(120)
async def test_no_row_survives_its_person_in_a_random_race(
    db: Database, sql: asyncpg.Connection, new_account: Callable[[], Any]
) -> None:
    chance = random.Random(20260101)
    survivors, refused, written = 0, 0, 0
    for _ in range(60):
        account = await new_account()
        work = a_work(account)
        await db.insert(work)
        writers = [_write(db, account, work, chance) for _ in range(6)]
        after = chance.uniform(0, 0.004)
        outcomes = await asyncio.gather(*writers, _later(after, erase(db, account)), return_exceptions=True)
        assert all(o is None or isinstance(o, SubjectUnknown | Contended) for o in outcomes), outcomes
        assert outcomes[-1] is None
        refused += sum(o is not None for o in outcomes)
        written += sum(o is None for o in outcomes[:-1])
        survivors += await traces(sql, account)
    assert survivors == 0
    assert refused > 20 < written  # the race was one


async def _write(db: Database, account: UUID, work: Work, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, 0.006))
    kind = chance.randrange(5)
    if kind == 0:
        await db.create(a_note(account), revoked(account))
    elif kind == 1:
        message = assets_pb2.CreateUploadRequest(filename="a.png")
        await db.create(a_note(account), request=Request(account, uuid4(), message, "notes/1"))
    elif kind == 2:
        await db.execute(RETITLE, work=work.id, new="Still mine")
    else:
        async with db.transaction(chance.choice(ISOLATIONS)) as tx:
            if found := await tx.first(WORK, work=work.id):
                await asyncio.sleep(chance.uniform(0, 0.003))
                await tx.update(found)
            await tx.insert(a_work(account) if kind == 3 else a_note(account))


async def _later(seconds: float, action: Awaitable[Any]) -> Any:
    await asyncio.sleep(seconds)
    return await action


@promise
@both
async def test_the_erasure_waits_for_a_writer_at_work_and_takes_its_row_along(
    db: Database, sql: asyncpg.Connection, account: UUID, isolation: Isolation
) -> None:
    async with db.transaction(isolation) as tx:
        await tx.insert(a_note(account))
        await tx.insert(a_work(account))
        erasing = asyncio.create_task(erase(db, account))
        await asyncio.sleep(0.1)
        assert not erasing.done()
    await erasing
    assert await traces(sql, account) == 0
    assert await sql.fetchval("SELECT count(*) FROM works") == 1  # nobody's, and still there


@promise
@both
async def test_a_late_insert_is_refused(
    db: Database, sql: asyncpg.Connection, account: UUID, isolation: Isolation
) -> None:
    async def late() -> None:
        async with db.transaction(isolation) as tx:
            await tx.all(WORK, work=uuid4())  # its view of things is from before
            await erase(db, account)
            await tx.insert(a_note(account))

    with pytest.raises((SubjectUnknown, Contended)):
        await late()
    assert await traces(sql, account) == 0


@promise
@both
async def test_a_late_update_cannot_put_a_person_back(
    db: Database, sql: asyncpg.Connection, account: UUID, isolation: Isolation
) -> None:
    await db.insert(work := a_work(account))

    async def late() -> None:
        async with db.transaction(isolation) as tx:
            found = await tx.one(WORK, work=work.id)
            await erase(db, account)
            found.title = "Still mine"
            await tx.update(found)

    with pytest.raises((SubjectUnknown, Contended)):
        await late()
    assert await traces(sql, account) == 0


@promise
@both
async def test_nothing_personal_can_be_written_into_what_was_anonymised(
    db: Database, sql: asyncpg.Connection, account: UUID, isolation: Isolation
) -> None:
    await db.insert(work := a_work(account))
    await erase(db, account)

    async def retitle() -> None:
        async with db.transaction(isolation) as tx:
            await tx.execute(RETITLE, work=work.id, new="Still mine")

    with pytest.raises(SubjectUnknown):
        await retitle()
    await db.execute(LIKE, work=work.id)  # what is not personal lives on
    found = await db.one(WORK, work=work.id)
    assert (found.account, found.title, found.likes) == (None, None, 1)


@promise
async def test_a_subject_can_not_go_before_its_works_are_anonymised(db: Database, account: UUID) -> None:
    await db.insert(a_work(account))
    with pytest.raises(SubjectUnknown):
        await db.execute(DELETE, account=account)


async def test_an_account_begins_once(db: Database, sql: asyncpg.Connection) -> None:
    account = uuid4()

    async def verified() -> bool:
        async with db.transaction() as tx:
            return await begin(tx, account)

    assert sorted(await asyncio.gather(*(verified() for _ in range(5)))) == [False] * 4 + [True]
    assert await sql.fetchval("SELECT count(*) FROM subjects WHERE account = $1", account) == 1


async def begun(db: Database, account: UUID, isolation: Isolation, at_work: float = 0) -> bool:
    """What AccountVerified does; `at_work` seconds until it commits."""
    async with db.transaction(isolation) as tx:
        began = await begin(tx, account)
        await asyncio.sleep(at_work)
    return began


@promise
@both
async def test_an_account_that_was_erased_does_not_begin_again(
    db: Database, sql: asyncpg.Connection, isolation: Isolation
) -> None:
    before, never = uuid4(), uuid4()
    assert await begun(db, before, isolation)
    for account in (before, never):  # `never`: AccountDeleted came first
        await erase(db, account, isolation)
        assert not await begun(db, account, isolation)
        assert await tombstoned(db, account)
        assert await db.erased(account)
        assert await traces(sql, account) == 0
    assert not await tombstoned(db, uuid4())


@promise
@both
async def test_beginning_and_erasing_at_once_leaves_nobody(
    db: Database, sql: asyncpg.Connection, isolation: Isolation
) -> None:
    chance, began = random.Random(20261127), Counter[bool]()
    for _ in range(30):
        account = uuid4()
        verified = over_and_over(begun, db, account, isolation, chance.uniform(0, 0.003))
        actions = [
            _later(chance.uniform(0, 0.003), each) for each in (verified, erase(db, account, isolation))
        ]
        outcomes = await asyncio.gather(*actions)
        began[outcomes[0] is True] += 1
        assert await traces(sql, account) == 0
    assert min(began[True], began[False]) > 3, began  # the race was one
