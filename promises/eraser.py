"""The eraser: carries out what was asked for, at once and until it is done, whatever is killed meanwhile.

The rows of who has little go where the event is heard, in its transaction. Else, and when privacy asks again
or the ledger does at start, a row of `erasures` is written; as it is for what is not a row. It goes when
everything is removed, in the commit that announces it: that of the rows where nothing but rows is held, a
later one else. Whoever dies in between leaves a row whose time comes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import NamedTuple
from uuid import UUID

from crafiq.identity.v1.events_pb2 import AccountDeleted
from crafiq.promises.v1 import promises_pb2
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge
from sqlalchemy import ARRAY, Uuid, bindparam, text

from chassis.db import Contended, Database, Record, Statement, Transaction
from chassis.errors import Refusal
from chassis.events import account_of
from promises.erasing import Beyond, Erasing, Wanted
from promises.witnesses import Witnesses

LOG = logging.getLogger("crafiq.eraser")
TRIED = Counter("crafiq_erasures", "Tries to erase somebody, by how they ended.", ["outcome"])
UNDER_WAY = Gauge("crafiq_erasures_under_way", "Erasures that this process is at.")
LEASE = timedelta(seconds=4)
"""How long an erasure belongs to whoever is at it; renewed while they live."""
LITTLE = 1_000
"""Rows of one person in one table up to which they go where the event is heard: a batch of events is one
transaction, and is to be over before the bus gives it to somebody else."""
AT_ONCE = 8
"""Erasures under way in a process, and those in one batch."""
POLL = 0.5  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0  # seconds
COLLISIONS = 20

_COLUMNS = "account, erasure, deleted_at, rows_gone_at, tries, due, cause"
ASK = Statement(
    text(
        f"INSERT INTO erasures ({_COLUMNS})"  # noqa: S608  # our own columns
        " SELECT :whose, :erasure, :deleted_at, CAST(:gone AS timestamptz), 0, :due, ''"
        " WHERE :again OR NOT EXISTS (SELECT FROM tombstones WHERE account = :whose)"
        " ON CONFLICT (account) DO NOTHING RETURNING account"
    )
)
HURRY = Statement(text("UPDATE erasures SET due = LEAST(due, :now) WHERE account = :whose AND cause <> ''"))
CLAIM = Statement(
    text(
        "UPDATE erasures SET due = :until WHERE account IN (SELECT account FROM erasures WHERE due <= :now"  # noqa: S608  # our own columns
        f" ORDER BY due LIMIT :most FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}"
    )
)
RENEW = Statement(
    text("UPDATE erasures SET due = :until WHERE account = ANY (:accounts)").bindparams(
        bindparam("accounts", type_=ARRAY(Uuid))
    )
)
ROWS_GONE = Statement(
    text("UPDATE erasures SET rows_gone_at = COALESCE(rows_gone_at, :now) WHERE account = :whose")
)
FAILED = Statement(
    text("UPDATE erasures SET tries = tries + 1, due = :due, cause = :cause WHERE account = :whose")
)
FINISHED = Statement(text("DELETE FROM erasures WHERE account = :whose RETURNING account"))
STANDING = Statement(
    text(
        "SELECT EXISTS (SELECT FROM tombstones WHERE account = :whose) AS entombed, erasures.*"
        " FROM (VALUES (1)) AS one LEFT JOIN erasures ON account = :whose"
    )
)


class Turn(NamedTuple):
    """An erasure to be carried out: how often it was tried, and whether its rows are gone already."""

    wanted: Wanted
    tries: int = 0
    gone: bool = False


class Eraser:
    """Erases people as they ask; `erased` is the event that says so, with `account` and `erasure`."""

    def __init__(self, db: Database, erasing: Erasing, erased: Callable[..., Message]) -> None:
        self._db, self._erasing, self._erased = db, erasing, erased
        self._in_hand: dict[UUID, asyncio.Task[None]] = {}
        self._waiting: list[Turn] = []
        self._rolled_back: set[UUID] = set()
        self._batch: Transaction | None = None
        self._together = 0
        self._woken = asyncio.Event()

    @property
    def witnesses(self) -> Witnesses:
        """Some of what was erased lately."""
        return self._erasing.witnesses

    @property
    def beyond(self) -> tuple[Beyond, ...]:
        """What is not a row."""
        return self._erasing.beyond

    async def on_account_deleted(self, tx: Transaction, event: AccountDeleted) -> None:
        """Somebody deleted their account: erase them, once. If that fails, those who were reached are written
        down when they are heard of again, and what stands in the way of one holds up nobody else."""
        account, deleted_at = account_of(event), event.delete_time.ToDatetime(tzinfo=UTC)
        wanted = Wanted(account, UUID(event.erasure.rpartition("/")[2]), deleted_at)
        tx.after.append(lambda: self._rolled_back.discard(account))
        size = await self._erasing.size(tx, account)
        if size is None:
            return
        if size > LITTLE or account in self._rolled_back or not self._room_in(tx):
            await self.ask(tx, wanted)
        else:
            self._rolled_back.add(account)  # until it has committed
            await self.erase(tx, wanted)

    def _room_in(self, tx: Transaction) -> bool:
        """Whether one more may be erased in it: batches come one after the other."""
        self._batch, self._together = tx, self._together + 1 if self._batch is tx else 1
        return self._together <= AT_ONCE

    async def ask(self, tx: Transaction, wanted: Wanted, *, again: bool = False) -> None:
        """Write down that this is wanted; it begins with the commit. Twice is once.

        `again`: although it was finished here, because something was found.
        """
        await self._write_down(tx, wanted, gone=False, again=again)
        if again:
            await tx.execute(HURRY, whose=wanted.account, now=self._db.clock.now())

    async def erase(self, tx: Transaction, wanted: Wanted) -> None:
        """Remove the rows in this transaction; the rest, if there may be any, begins with its commit."""
        if await self._erasing.erase(tx, wanted):
            await self._write_down(tx, wanted, gone=True, again=True)
        else:
            tx.after.append(TRIED.labels("done").inc)
            self._announce(tx, wanted)

    async def now(self, wanted: Wanted) -> None:
        """All rows, before this returns; the rest begins then, and waits for nobody who has to serve.

        For what comes before serving. Raises what stands in the way.
        """
        async with self._db.transaction() as tx:
            await self._note(tx, wanted, gone=False, again=True)
        if await self._rows(wanted):
            self._take(Turn(wanted, gone=True))

    async def _write_down(self, tx: Transaction, wanted: Wanted, *, gone: bool, again: bool) -> None:
        if await self._note(tx, wanted, gone=gone, again=again):
            tx.after.append(lambda: self._take(Turn(wanted, gone=gone)))

    async def _note(self, tx: Transaction, wanted: Wanted, *, gone: bool, again: bool) -> bool:
        """False if it was written down before and is not finished; or (unless `again`) if it was finished."""
        now = self._db.clock.now()
        asked = {"whose": wanted.account, "erasure": wanted.erasure, "deleted_at": wanted.deleted_at}
        gone_at = now if gone else None
        return await tx.first(ASK, **asked, gone=gone_at, due=now + LEASE, again=again) is not None

    async def standing(self, account: UUID) -> promises_pb2.Standing:
        """How far it is."""
        row = await self._db.one(STANDING, whose=account)
        if row["account"] is None:
            unknown = promises_pb2.PROGRESS_UNSPECIFIED
            return promises_pb2.Standing(progress=promises_pb2.FINISHED if row["entombed"] else unknown)
        progress = promises_pb2.ROWS_GONE if row["rows_gone_at"] else promises_pb2.ASKED
        return promises_pb2.Standing(progress=progress, tries=row["tries"], cause=row["cause"])

    async def run(self) -> None:
        """Erase what is asked for until cancelled; what is in hand is left to its lease."""
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                self._woken.clear()
                await self._fill()
                try:
                    async with asyncio.timeout(POLL):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            for task in (renewing, *self._in_hand.values()):
                task.cancel()

    def _take(self, turn: Turn) -> None:
        self._waiting.append(turn)
        self._woken.set()

    async def _fill(self) -> None:
        try:
            if not self._waiting:
                now, free = self._db.clock.now(), AT_ONCE - len(self._in_hand)
                for row in await self._db.all(CLAIM, now=now, until=now + LEASE, most=max(0, free)):
                    self._waiting.append(_turn(row))
            while self._waiting and len(self._in_hand) < AT_ONCE:
                turn = self._waiting.pop(0)
                if turn.wanted.account not in self._in_hand:
                    self._in_hand[turn.wanted.account] = asyncio.create_task(self._carry_out(turn))
        except Exception as error:
            LOG.warning("no erasure can be taken at the moment: %s", type(error).__name__)
        UNDER_WAY.set(len(self._in_hand))

    async def _carry_out(self, turn: Turn) -> None:
        wanted = turn.wanted
        try:
            await self.through(wanted, gone=turn.gone)
            TRIED.labels("done").inc()
        except Exception as error:
            TRIED.labels("failed").inc()
            LOG.warning("erasure %s is tried again: %s", wanted.erasure, _cause(error), exc_info=error)
            await self._postpone(turn, _cause(error))
        finally:
            if self._waiting or len(self._in_hand) == AT_ONCE:  # somebody may have had to wait
                self._woken.set()
            del self._in_hand[wanted.account]

    async def through(self, wanted: Wanted, *, gone: bool = False) -> None:
        """Rows (unless they are gone), what is beyond them, the news of it. Raises what stands in the way."""
        if gone or await self._rows(wanted):
            for each in self.beyond:
                await each.remove(wanted)
            async with self._db.transaction() as tx:
                await self._finish(tx, wanted)

    async def _rows(self, wanted: Wanted) -> bool:
        """Whether there may be something beyond them; if not, the same commit says that it is done."""
        await self._erasing.reduce(self._db, wanted.account)
        for collision in range(COLLISIONS):
            try:
                async with self._db.transaction() as tx:
                    if remains := await self._erasing.erase(tx, wanted):
                        await tx.execute(ROWS_GONE, whose=wanted.account, now=self._db.clock.now())
                    else:
                        await self._finish(tx, wanted)
            except Contended:
                # A writer holds a row of the person and wants the subject: let it be refused first.
                await asyncio.sleep(random.uniform(0, 0.01 * (collision + 1)))  # noqa: S311  # no secret
            else:
                return remains
        raise Contended

    async def _finish(self, tx: Transaction, wanted: Wanted) -> None:
        if await tx.first(FINISHED, whose=wanted.account) is not None:
            self._announce(tx, wanted)

    def _announce(self, tx: Transaction, wanted: Wanted) -> None:
        names = {"account": f"accounts/{wanted.account}", "erasure": f"erasures/{wanted.erasure}"}
        tx.emit(self._erased(**names))

    async def _postpone(self, turn: Turn, cause: str) -> None:
        wanted, pause = turn.wanted, min(FIRST_PAUSE * 2**turn.tries, LONGEST_PAUSE)
        due = self._db.clock.now() + timedelta(seconds=pause)
        try:
            await self._db.execute(FAILED, whose=wanted.account, due=due, cause=cause)
        except Exception as error:
            LOG.warning("erasure %s is left to its lease: %s", wanted.erasure, _cause(error))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            accounts = [*self._in_hand, *(turn.wanted.account for turn in self._waiting)]
            if not accounts:
                continue
            try:
                await self._db.execute(RENEW, accounts=accounts, until=self._db.clock.now() + LEASE)
            except Exception as error:
                LOG.warning("erasures in hand can't be renewed: %s", type(error).__name__)


def _turn(row: Record) -> Turn:
    wanted = Wanted(row["account"], row["erasure"], row["deleted_at"])
    return Turn(wanted, row["tries"], row["rows_gone_at"] is not None)


def _cause(error: Exception) -> str:
    return error.reason if isinstance(error, Refusal) else type(error).__name__
