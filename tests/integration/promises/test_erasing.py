"""Erasing does what the columns declare, once, for one person, whoever is writing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.identity.v1 import events_pb2
from crafiq.promises.v1 import promises_pb2

from chassis.db import Contended, Database, Transaction
from chassis.errors import SubjectUnknown, Unavailable
from chassis.rpc import Call
from promises import eraser as erasers
from promises import erasing
from promises.eraser import Eraser
from promises.erasing import Beyond, Erasing, Wanted
from promises.holder import Holder
from promises.holdings import Holdings
from promises.inventory import Keep
from promises.retention import standard_jobs
from promises.shares import Share
from promises.subjects import begin, tombstoned
from tests.integration.promises.archive import LAW, Note, Row, Work, archive, db, person
from tests.support import FakeClock, eventually

__all__ = ["archive", "db", "person"]
NOBODY = cast(Call, None)
promise = pytest.mark.promise("9-delete-now", "11-erase")
Make = Callable[[], Awaitable[UUID]]


class Shelf(Beyond):
    """Things that are not rows; `away`: how often they can't be reached; `lies`: they are not removed."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.noted, self.removed = away, 0, 0
        self.things: dict[UUID, int] = {}

    async def note(self, _tx: Transaction, _wanted: Wanted, _pseudonym: UUID) -> bool:
        self.noted += 1
        return True

    async def remove(self, wanted: Wanted) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable
        self.removed += 1
        self.things.pop(wanted.account, None)

    async def found(self, account: UUID, _erasure: UUID | None) -> Sequence[Share]:
        return [Share("MEDIA", promises_pb2.ERASED_NOW, self.things.get(account, 0))]


class InTheWay(Beyond):
    """Somebody who has a row of theirs in hand, the first time."""

    def __init__(self, whose: Wanted) -> None:
        self._whose, self._first = whose, True

    async def note(self, _tx: Transaction, wanted: Wanted, _pseudonym: UUID) -> bool:
        if wanted == self._whose and self._first:
            self._first = False
            raise Contended
        return False


@pytest.fixture
async def sql(archive: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(archive)
    await connection.execute("DELETE FROM erasures; DELETE FROM outbox; DELETE FROM retained_payments")
    yield connection
    await connection.close()


def an_eraser(db: Database, *beyond: Beyond) -> Eraser:
    return Eraser(db, Erasing(Row.metadata, beyond), events_pb2.AccountErased)


async def carried_out(db: Database, it: Wanted) -> None:
    """All of it."""
    eraser = an_eraser(db)
    async with db.transaction() as tx:
        await eraser.ask(tx, it)
    await eraser.through(it)


def a_holder(db: Database, eraser: Eraser) -> Holder:
    return Holder(db, Row.metadata, Holdings(db, Row.metadata, eraser.beyond), eraser, nothing)


async def nothing() -> int:
    return 0


@asynccontextmanager
async def at_work(eraser: Eraser) -> AsyncIterator[None]:
    task = asyncio.create_task(eraser.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def wanted(account: UUID, db: Database) -> Wanted:
    return Wanted(account, uuid4(), db.clock.now())


def deleted(it: Wanted) -> events_pb2.AccountDeleted:
    event = events_pb2.AccountDeleted(account=f"accounts/{it.account}", erasure=f"erasures/{it.erasure}")
    event.delete_time.FromDatetime(it.deleted_at)
    return event


async def hear(db: Database, eraser: Eraser, *batch: Wanted) -> None:
    async with db.transaction() as tx:
        for it in batch:
            await eraser.on_account_deleted(tx, deleted(it))


async def rows_of(sql: asyncpg.Connection, account: UUID) -> int:
    found: int = await sql.fetchval(
        "SELECT (SELECT count(*) FROM subjects WHERE account = $1)"
        " + (SELECT count(*) FROM notes WHERE account = $1) + (SELECT count(*) FROM works WHERE account = $1)"
        " + (SELECT count(*) FROM payments WHERE account = $1)",
        account,
    )
    return found


async def announced(sql: asyncpg.Connection, account: UUID) -> int:
    found: int = await sql.fetchval(
        "SELECT count(*) FROM outbox WHERE subject = $1", f"crafiq.identity.v1.AccountErased.{account}"
    )
    return found


@promise
@pytest.mark.promise("9-public-anon", "9-tax")
async def test_each_column_ends_as_it_is_declared_and_nobody_elses_does(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    gone, other = await person(), await person()
    before = await sql.fetchval("SELECT count(*) FROM works")
    it = wanted(gone, db)
    await carried_out(db, it)
    assert await rows_of(sql, gone) == 0
    assert await rows_of(sql, other) == 5
    assert await sql.fetchval("SELECT count(*) FROM works") == before
    assert await sql.fetchval("SELECT count(*) FROM works WHERE account IS NULL AND title IS NOT NULL") == 0
    [kept] = await sql.fetch("SELECT * FROM retained_payments")
    assert (kept["cents"], kept["until"]) == (900, it.deleted_at + cast(timedelta, LAW.at_most))
    assert gone not in kept.values()
    assert await tombstoned(db, gone)
    assert not await tombstoned(db, other)
    assert await announced(sql, gone) == 1


@promise
async def test_asked_twice_by_event_it_happens_once(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    shelf = Shelf()
    eraser, it = an_eraser(db, shelf), wanted(await person(), db)
    async with at_work(eraser):
        await hear(db, eraser, it)
        await hear(db, eraser, it)
        await eventually(lambda: announced(sql, it.account))
        await hear(db, eraser, it)
        assert await sql.fetchval("SELECT count(*) FROM erasures") == 0
    assert (await announced(sql, it.account), shelf.removed) == (1, 1)
    assert await sql.fetchval("SELECT count(*) FROM retained_payments") == 1


@promise
async def test_what_cannot_be_reached_is_asked_again_until_it_is_gone(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    shelf = Shelf(away=3)
    eraser, it = an_eraser(db, shelf), wanted(await person(), db)
    shelf.things[it.account] = 7
    holder, clock = a_holder(db, eraser), cast(FakeClock, db.clock)
    async with at_work(eraser):
        await hear(db, eraser, it)
        standing = await eventually(lambda: _failed(eraser, it.account))
        assert standing.progress == promises_pb2.ROWS_GONE
        assert standing.cause == "UNAVAILABLE"
        found = await holder.Verify(
            promises_pb2.VerifyRequest(account=f"accounts/{it.account}", erasure=f"erasures/{it.erasure}"),
            NOBODY,
        )
        assert [(each.category, each.count) for each in found.left] == [("MEDIA", 7)]
        assert await announced(sql, it.account) == 0

        def later() -> Awaitable[int]:
            clock.forward(timedelta(seconds=1))
            return announced(sql, it.account)

        await eventually(later)
    assert (await eraser.standing(it.account)).progress == promises_pb2.FINISHED
    assert shelf.things == {}


async def _failed(eraser: Eraser, account: UUID) -> promises_pb2.Standing | None:
    standing = await eraser.standing(account)
    return standing if standing.tries else None


@promise
async def test_what_is_said_to_be_finished_was_looked_for_afterwards(
    db: Database, person: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    eraser, it = an_eraser(db, shelf), wanted(await person(), db)
    shelf.things[it.account] = 7
    holder = a_holder(db, eraser)
    counted = Holdings._count

    async def erased_meanwhile(holdings: Holdings, account: UUID) -> dict[str, list[int]]:
        await hear(db, eraser, it)
        await eraser.through(it, gone=True)
        return await counted(holdings, account)

    monkeypatch.setattr(Holdings, "_count", erased_meanwhile)
    look = promises_pb2.VerifyRequest(account=f"accounts/{it.account}", erasure=f"erasures/{it.erasure}")
    found = await holder.Verify(look, NOBODY)
    assert (found.standing.progress, list(found.left)) == (promises_pb2.FINISHED, [])


@promise
async def test_who_has_little_is_gone_with_the_commit_that_hears_of_it(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    it = wanted(await person(), db)
    await hear(db, an_eraser(db), it)
    assert (await rows_of(sql, it.account), await announced(sql, it.account)) == (0, 1)
    assert await sql.fetchval("SELECT count(*) FROM erasures") == 0


@promise
async def test_what_stands_in_the_way_of_one_holds_up_nobody_who_was_heard_of_with_them(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    first, it = wanted(await person(), db), wanted(await person(), db)
    eraser = an_eraser(db, InTheWay(it))
    with pytest.raises(Contended):
        await hear(db, eraser, first, it)
    assert (await rows_of(sql, first.account), await rows_of(sql, it.account)) == (5, 5)
    for each in (first, it):  # what the consumer does then; nobody is erased while others wait
        await hear(db, eraser, each)
    assert await sql.fetchval("SELECT count(*) FROM erasures") == 2
    async with at_work(eraser):
        for each in (first, it):
            await eventually(lambda whom=each.account: announced(sql, whom))
    assert (await rows_of(sql, first.account), await rows_of(sql, it.account)) == (0, 0)


@promise
async def test_who_is_written_down_is_nobody_elses_to_erase(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    eraser, it = an_eraser(db), wanted(await person(), db)
    async with db.transaction() as tx:  # privacy reminded before the event came
        await eraser.ask(tx, it, again=True)
    await hear(db, eraser, it)
    assert (await rows_of(sql, it.account), await announced(sql, it.account)) == (5, 0)
    await eraser.through(it)
    await hear(db, eraser, it)
    assert (await rows_of(sql, it.account), await announced(sql, it.account)) == (0, 1)


@promise
async def test_a_batch_has_no_more_than_a_few_in_one_transaction(
    db: Database, sql: asyncpg.Connection, person: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasers, "AT_ONCE", 2)
    batch = [wanted(await person(), db) for _ in range(3)]
    await hear(db, an_eraser(db), *batch)
    assert [await rows_of(sql, each.account) for each in batch] == [0, 0, 5]
    assert await sql.fetchval("SELECT account FROM erasures") == batch[2].account


@promise
async def test_whoever_dies_in_between_leaves_it_to_the_next(
    db: Database, sql: asyncpg.Connection, person: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasers, "LITTLE", 1)
    it = wanted(await person(), db)
    await hear(db, an_eraser(db), it)  # of a process that ends here, before it began
    assert (await rows_of(sql, it.account), await sql.fetchval("SELECT count(*) FROM erasures")) == (5, 1)
    clock = cast(FakeClock, db.clock)
    async with at_work(an_eraser(db)):
        clock.forward(timedelta(seconds=5))
        await eventually(lambda: announced(sql, it.account))
    assert await rows_of(sql, it.account) == 0


@promise
@pytest.mark.parametrize("first", ["verified", "deleted"])
async def test_nobody_comes_back_in_whatever_order_the_news_arrives(
    db: Database, sql: asyncpg.Connection, first: str
) -> None:
    it = Wanted(uuid4(), uuid4(), db.clock.now())
    eraser = an_eraser(db)

    async def verified() -> None:
        async with db.transaction() as tx:
            await begin(tx, it.account)

    steps = [verified, lambda: eraser.now(it)]
    for step in steps if first == "verified" else reversed(steps):
        await step()
    await verified()
    assert await rows_of(sql, it.account) == 0
    with pytest.raises(SubjectUnknown):
        await db.insert(Note(id=uuid4(), account=it.account, words="late"))
    with pytest.raises(SubjectUnknown):
        await db.insert(Work(id=uuid4(), account=it.account, title="late"))
    with pytest.raises(SubjectUnknown):
        await db.insert(Work(id=uuid4(), account=None, title="late"))


@promise
async def test_very_much_goes_in_batches_first(
    db: Database, sql: asyncpg.Connection, person: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "LARGE", 50)
    gone, other = await person(), await person()
    for account in (gone, other):
        await sql.execute(
            "INSERT INTO notes (id, account, words)"
            " SELECT gen_random_uuid(), $1, 'x' FROM generate_series(1, 180)",
            account,
        )
    rules = Erasing(Row.metadata)
    await rules.reduce(db, gone)
    assert await sql.fetchval("SELECT count(*) FROM notes WHERE account = $1", gone) < 50
    assert await sql.fetchval("SELECT count(*) FROM subjects WHERE account = $1", gone) == 1
    await Eraser(db, rules, events_pb2.AccountErased).now(wanted(gone, db))
    assert (await rows_of(sql, gone), await rows_of(sql, other)) == (0, 185)


@promise
async def test_what_is_copied_or_noted_when_it_goes_is_all_there_until_then(
    db: Database, sql: asyncpg.Connection, person: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "LARGE", 50)
    account, shelf = await person(), Shelf()
    shelf.reads = ("notes",)
    await sql.execute(
        "INSERT INTO notes (id, account, words)"
        " SELECT gen_random_uuid(), $1, 'x' FROM generate_series(1, 180)",
        account,
    )
    await sql.execute(
        "INSERT INTO payments (id, account, cents)"
        " SELECT gen_random_uuid(), $1, 3 FROM generate_series(1, 180)",
        account,
    )
    before = await rows_of(sql, account)
    rules = Erasing(Row.metadata, [shelf])
    await rules.reduce(db, account)
    assert await rows_of(sql, account) == before
    await Eraser(db, rules, events_pb2.AccountErased).now(wanted(account, db))
    assert await sql.fetchval("SELECT count(*) FROM retained_payments WHERE cents = 3") == 180
    assert await rows_of(sql, account) == 0


@promise
async def test_what_was_erased_is_told_to_scrubs_until_one_finds_nothing_of_it(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    clock, account, other = cast(FakeClock, db.clock), await person(), await person()
    for whose, words in (account, "a lantern in the fog"), (other, "a heron on the weir"):
        await sql.execute(
            "INSERT INTO notes (id, account, words) VALUES (gen_random_uuid(), $1, $2)", whose, words
        )
    eraser = an_eraser(db)
    holder = a_holder(db, eraser)
    await eraser.now(wanted(account, db))
    first = await holder.TakeWitnesses(promises_pb2.TakeWitnessesRequest(), NOBODY)
    assert b"a lantern in the fog" in first.values
    # That scrub was killed, or found something: the next one looks for it too.
    clock.forward(timedelta(hours=25))
    again = await holder.TakeWitnesses(promises_pb2.TakeWitnessesRequest(), NOBODY)
    assert list(again.values) == list(first.values)
    clock.forward(timedelta(seconds=1))
    await eraser.now(wanted(other, db))
    await holder.ForgetWitnesses(promises_pb2.ForgetWitnessesRequest(take_time=again.take_time), NOBODY)
    later = await holder.TakeWitnesses(promises_pb2.TakeWitnessesRequest(), NOBODY)
    assert b"a heron on the weir" in later.values
    assert b"a lantern in the fog" not in later.values
    clock.forward(timedelta(hours=49))
    assert not (await holder.TakeWitnesses(promises_pb2.TakeWitnessesRequest(), NOBODY)).values


@promise
async def test_writers_under_way_are_waited_for_and_their_rows_go_along(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    account = await person()
    writing, written = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with db.transaction() as tx:
            await tx.insert(Note(id=uuid4(), account=account, words="at the last moment"))
            writing.set()
            await written.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await writing.wait()
        erasing_ = group.create_task(an_eraser(db).now(wanted(account, db)))
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await eventually(lambda: sql.fetchval(f"SELECT count(*) {waiting}"))
        assert not erasing_.done()
        written.set()
    assert await rows_of(sql, account) == 0


@promise
async def test_asked_again_by_privacy_it_looks_again_although_it_was_finished(
    db: Database, sql: asyncpg.Connection, person: Make
) -> None:
    shelf = Shelf()
    eraser, it = an_eraser(db, shelf), wanted(await person(), db)
    holder = a_holder(db, eraser)
    request = promises_pb2.EraseRequest(account=f"accounts/{it.account}", erasure=f"erasures/{it.erasure}")
    request.delete_time.FromDatetime(it.deleted_at)
    async with at_work(eraser):
        await hear(db, eraser, it)
        await eventually(lambda: announced(sql, it.account))
        shelf.things[it.account] = 1  # something that should have been gone
        answer = await holder.Erase(request, NOBODY)
        assert (answer.holder, answer.progress) == ("archive", promises_pb2.ASKED)
        await eventually(lambda: shelf.removed == 2)
        await eventually(lambda: _gone(sql))
    assert shelf.things == {}


async def _gone(sql: asyncpg.Connection) -> bool:
    return await sql.fetchval("SELECT count(*) FROM erasures") == 0


@pytest.mark.promise("9-asneeded", "9-fraud-6m")
async def test_what_is_kept_ends_on_its_day(db: Database, sql: asyncpg.Connection, person: Make) -> None:
    it, clock = wanted(await person(), db), cast(FakeClock, db.clock)
    await carried_out(db, it)
    jobs = {job.name: job for job in standard_jobs(db, Row.metadata)}

    async def swept() -> tuple[int, int, int]:
        for job in jobs.values():
            await job.run()
        counts: Any = await sql.fetchrow(
            "SELECT (SELECT count(*) FROM retained_payments),"
            " (SELECT count(*) FROM tombstones WHERE account = $1),"
            " (SELECT count(*) FROM inbox WHERE key = $2)",
            it.account,
            f"verified:{it.account}",
        )
        return counts[0], counts[1], counts[2]

    assert await swept() == (1, 1, 1)
    clock.forward(timedelta(days=34))
    assert await swept() == (1, 1, 1)
    clock.forward(timedelta(days=2))
    assert (await swept())[1] == 0
    assert (await swept())[2] == 0
    clock.forward(timedelta(days=3653 - 37))
    assert (await swept())[0] == 1
    clock.forward(timedelta(days=2))
    assert (await swept())[0] == 0


def test_a_month_of_retention_ends_with_a_month() -> None:
    keep = Keep.by_month("to prevent fraud", 6)
    assert keep.ends(datetime(2026, 5, 20, 13, tzinfo=UTC)) == datetime(2026, 11, 1, tzinfo=UTC)
    assert keep.ends(datetime(2026, 8, 31, tzinfo=UTC)) == datetime(2027, 2, 1, tzinfo=UTC)
