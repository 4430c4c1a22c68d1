"""All or nothing, with the events; contention and outages have names; requests are answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.identity.v1 import events_pb2
from sqlalchemy import bindparam, select, text
from sqlmodel import col

from chassis.clock import Clock
from chassis.db import Contended, Database, DatabaseUnavailable, Request, RequestIdReused, Statement, scalar
from chassis.errors import SubjectUnknown
from tests.integration.chassis_data.conftest import KEY
from tests.integration.chassis_data.rows import Tally, Work
from tests.integration.chassis_data.test_statements import a_note
from tests.support import eventually

Sql = asyncpg.Connection
TALLY = Statement(select(Tally).where(col(Tally.name) == bindparam("which")), Tally)
LOCKED = Statement(select(Tally).where(col(Tally.name) == bindparam("which")).with_for_update(), Tally)
SLEEP = Statement(text("SELECT pg_sleep(:seconds)"))


def revoked(account: UUID) -> events_pb2.SessionRevoked:
    return events_pb2.SessionRevoked(account=f"accounts/{account}", session=f"sessions/{uuid4()}")


async def test_a_row_and_its_events_commit_together(db: Database, sql: Sql, account: UUID) -> None:
    first, second = revoked(account), revoked(account)
    async with db.transaction() as tx:
        await tx.insert(a_note(account))
        tx.emit(first)
        tx.emit(second)
    rows = await sql.fetch("SELECT * FROM outbox ORDER BY number")
    assert [row["payload"] for row in rows] == [first.SerializeToString(), second.SerializeToString()]
    assert {row["subject"] for row in rows} == {f"crafiq.identity.v1.SessionRevoked.{account}"}
    assert len({row["id"] for row in rows}) == 2


async def test_what_fails_leaves_neither_row_nor_event(db: Database, sql: Sql, account: UUID) -> None:
    async def fail() -> None:
        async with db.transaction() as tx:
            await tx.insert(a_note(account))
            tx.emit(revoked(account))
            raise OSError("an error of its own")

    with pytest.raises(OSError, match="of its own"):
        await fail()
    assert await sql.fetchval("SELECT (SELECT count(*) FROM notes) + (SELECT count(*) FROM outbox)") == 0


async def test_a_cancelled_transaction_leaves_nothing_and_gives_its_connection_back(
    db: Database, sql: Sql, account: UUID
) -> None:
    async def interrupted() -> None:
        async with db.transaction() as tx:
            await tx.insert(a_note(account))
            await tx.execute(SLEEP, seconds=5)

    for _ in range(10):  # more than the pool has
        task = asyncio.create_task(interrupted())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(20):
        await db.insert(a_note(account))
    assert await sql.fetchval("SELECT count(*) FROM notes") == 1


async def test_an_event_needs_an_account(db: Database) -> None:
    with pytest.raises(ValueError, match="names no account"):
        async with db.transaction() as tx:
            tx.emit(assets_pb2.Asset())


async def test_a_row_for_an_account_that_is_not_known_says_whose(db: Database) -> None:
    stranger = uuid4()
    with pytest.raises(SubjectUnknown) as unknown:
        await db.insert(a_note(stranger))
    assert unknown.value.account == stranger


async def test_nothing_personal_can_be_put_into_a_row_without_owner(db: Database) -> None:
    with pytest.raises(SubjectUnknown):
        await db.insert(Work(id=uuid4(), account=None, title="Me"))


async def test_other_violations_are_left_to_the_repository(db: Database) -> None:
    await db.insert(Tally(name="x", count=0))
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.insert(Tally(name="x", count=0))
    with pytest.raises(asyncpg.CheckViolationError, match="ck_notes_mood"):
        await db.insert(a_note(uuid4()).model_copy(update={"mood": "ANGRY"}))


async def test_writers_that_collide_are_told_to_come_again(db: Database) -> None:
    await db.insert(Tally(name="x", count=0))
    both = asyncio.Barrier(2)

    async def count_up() -> None:
        async with db.transaction("repeatable_read") as tx:
            tally = await tx.one(TALLY, which="x")
            await both.wait()
            tally.count += 1
            await tx.update(tally)

    outcomes = await asyncio.gather(count_up(), count_up(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [Contended]
    assert (await db.one(TALLY, which="x")).count == 1


async def test_a_deadlock_ends_one_and_lets_the_other_through(db: Database) -> None:
    await db.insert(Tally(name="a", count=0))
    await db.insert(Tally(name="b", count=0))
    both = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with db.transaction() as tx:
            await tx.one(LOCKED, which=first)
            await both.wait()
            await tx.one(LOCKED, which=second)

    outcomes = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [Contended]


async def test_an_outage_has_a_name_and_ends(db: Database, sql: Sql) -> None:
    await db.insert(Tally(name="x", count=0))
    kinds: set[type] = set()

    async def over() -> bool:
        """Whether each of as many as the pool has gets an answer."""
        asked = (db.first(TALLY, which="x") for _ in range(8))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        kinds.update(map(type, outcomes))
        return all(isinstance(outcome, Tally) and outcome.count == 0 for outcome in outcomes)

    for _ in range(3):
        await eventually(over)
        await sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await over()
    await eventually(over)
    assert kinds <= {DatabaseUnavailable, Tally}


async def test_a_connection_that_ended_before_the_commit_is_an_outage_too(db: Database, sql: Sql) -> None:
    async def cut_off() -> None:
        async with db.transaction() as tx:
            backend = await tx.one(Statement(text("SELECT pg_backend_pid()"), scalar))
            await sql.execute("SELECT pg_terminate_backend($1)", backend)
            async with tx._connection() as connection:
                await eventually(lambda: connection._con is None)  # the pool has heard of it

    with pytest.raises(DatabaseUnavailable):
        await cut_off()


async def test_a_request_is_answered_once(db: Database, account: UUID) -> None:
    asked = assets_pb2.CreateUploadRequest(filename="a.png", size_bytes=3, request_id=str(uuid4()))

    async def create(result: str) -> str | None:
        async with db.transaction() as tx:
            return await tx.replay(account, asked.request_id, asked, result=result)

    assert await create("uploads/1") is None
    assert await create("uploads/2") == "uploads/1"


async def test_the_same_id_for_another_body_or_call_is_refused(db: Database, account: UUID) -> None:
    request_id = str(uuid4())
    asked = assets_pb2.CreateUploadRequest(filename="a.png", size_bytes=3, request_id=request_id)
    other = assets_pb2.CreateUploadRequest(filename="b.png", size_bytes=3, request_id=request_id)
    empty = assets_pb2.CreateUploadRequest(request_id=request_id)
    async with db.transaction() as tx:
        await tx.replay(account, request_id, asked, result="uploads/1")
    for message in (other, empty, assets_pb2.GetAssetRequest()):
        with pytest.raises(RequestIdReused):
            async with db.transaction() as tx:
                await tx.replay(account, request_id, message, result="uploads/1")


async def test_another_person_may_use_the_same_id(
    db: Database, account: UUID, new_account: Callable[[], Any]
) -> None:
    asked = assets_pb2.CreateUploadRequest(filename="a.png", request_id=str(uuid4()))
    for person in (account, await new_account()):
        async with db.transaction() as tx:
            assert await tx.replay(person, asked.request_id, asked, result="uploads/1") is None


@pytest.mark.parametrize("fails", [False, True])
async def test_two_at_once_with_one_id_have_one_effect_and_one_answer(
    db: Database, sql: Sql, account: UUID, fails: bool
) -> None:
    asked = assets_pb2.CreateUploadRequest(filename="a.png", request_id=str(uuid4()))

    async def create(*, fail: bool) -> str:
        note = a_note(account)
        async with db.transaction() as tx:
            if earlier := await tx.replay(account, asked.request_id, asked, result=str(note.id)):
                return earlier
            await tx.insert(note)
            await asyncio.sleep(0.05)
            if fail:
                raise ValueError("thought better of it")
        return str(note.id)

    calls = [create(fail=fails), *(create(fail=False) for _ in range(5))]
    answers = {a for a in await asyncio.gather(*calls, return_exceptions=True) if isinstance(a, str)}
    assert len(answers) == 1
    assert {str(row["id"]) for row in await sql.fetch("SELECT id FROM notes")} == answers


async def test_a_create_is_one_statement_with_its_event(db: Database, sql: Sql, account: UUID) -> None:
    note, event = a_note(account), revoked(account)
    assert await db.create(note, event) is None
    assert await sql.fetchval("SELECT id FROM notes") == note.id
    assert await sql.fetchval("SELECT payload FROM outbox") == event.SerializeToString()
    assert await db.create(Tally(name="no event", count=0)) is None


async def test_a_create_for_a_stranger_leaves_nothing(db: Database, sql: Sql) -> None:
    stranger = uuid4()
    with pytest.raises(SubjectUnknown):
        await db.create(a_note(stranger), revoked(stranger))
    assert await sql.fetchval("SELECT (SELECT count(*) FROM notes) + (SELECT count(*) FROM outbox)") == 0


async def test_creates_with_one_request_id_at_once_have_one_effect(
    db: Database, sql: Sql, account: UUID
) -> None:
    asked = assets_pb2.CreateUploadRequest(filename="a.png", request_id=str(uuid4()))

    async def create() -> str:
        note = a_note(account)
        request = Request(account, asked.request_id, asked, str(note.id))
        return await db.create(note, revoked(account), request=request) or str(note.id)

    [answer] = set(await asyncio.gather(*(create() for _ in range(20))))
    assert [str(row["id"]) for row in await sql.fetch("SELECT id FROM notes")] == [answer]
    assert await sql.fetchval("SELECT count(*) FROM outbox") == 1
    other = assets_pb2.CreateUploadRequest(filename="b.png", request_id=asked.request_id)
    with pytest.raises(RequestIdReused):
        await db.create(a_note(account), request=Request(account, asked.request_id, other, "x"))


async def test_a_key_is_claimed_once_whoever_asks(db: Database) -> None:
    async def claim() -> bool:
        async with db.transaction() as tx:
            taken = await tx.claim("a message")
            await asyncio.sleep(0.01)
            return taken

    assert sorted(await asyncio.gather(*(claim() for _ in range(6)))) == [False] * 5 + [True]


async def test_commits_wake_the_relay_and_nothing_else_does(db: Database, account: UUID) -> None:
    async def woken(within: float = 0.1) -> bool:
        started = asyncio.get_running_loop().time()
        await db.wait_committed(within)
        return asyncio.get_running_loop().time() - started < within

    assert not await woken()
    async with db.transaction() as tx:
        await tx.insert(a_note(account))
    assert not await woken()
    async with db.transaction() as tx:
        tx.emit(revoked(account))
    assert await woken(10)
    await db.create(a_note(account), revoked(account))
    assert await woken(10)


async def test_no_session_outlives_its_use(database_url: str) -> None:
    async with Database.open(
        database_url, clock=Clock(), new_id=uuid4, request_key=KEY, size=(1, 1)
    ) as small:
        async with small.transaction("serializable") as tx:
            await tx.insert(Tally(name="x", count=0))
        async with small.transaction() as tx:
            level = Statement(text("SELECT current_setting('transaction_isolation')"), scalar)
            assert await tx.one(level) == "read committed"
