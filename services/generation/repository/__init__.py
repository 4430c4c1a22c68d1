"""Jobs, their attempts, and the record of what left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crafiq.generation.v1 import events_pb2

from chassis.db import Database, Transaction
from services.generation.domain import (
    Attempt,
    AttemptState,
    Egress,
    Ending,
    GenerationNotFound,
    GenerationUnderWay,
    Job,
    JobState,
    Order,
    Route,
    Transition,
    Try,
    VendorCopy,
    account_name,
    cancel,
    generation_name,
)
from services.generation.repository import statements as sql
from services.generation.repository.announcements import announcement
from services.generation.repository.changes import Changes
from services.generation.repository.copies import Copies, Remaining

__all__ = [
    "NEWEST", "OLDEST", "Changes", "Claim", "Copies", "Held", "JobGone", "Jobs", "Place", "Remaining",
    "Removed", "cancel_all",
]  # fmt: skip

Place = tuple[datetime, UUID]
"""Where a row stands in a list: its time and its id."""
NEWEST: Place = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
OLDEST: Place = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


ENDINGS_KEPT = timedelta(days=30)
POLL_SECONDS = 0.25


class JobGone(Exception):
    """The job is not there, has ended, or belongs to another attempt by now: stop working on it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job as it was claimed, and the attempt that claimed it."""

    job: Job
    attempt: UUID


@dataclass(frozen=True, slots=True)
class Removed:
    """What went with a job, in rows; `egress` is what stays of the record of what left.

    `copies`: what vendors still have of it, which is purged where they offer that.
    """

    job: Job
    at: datetime
    states: int
    attempts: int
    egress: int
    copies: int


class Held:
    """A job whose row is locked until the block ends, with its current attempt if it has one."""

    def __init__(self, tx: Transaction, job: Job, attempt: Attempt | None) -> None:
        self.tx, self.job, self.attempt = tx, job, attempt
        self._egress: Egress | None = None

    async def tried(self) -> Try:
        """The job with its attempt and what left in it. Raises JobGone if there was no attempt."""
        if self.attempt is None:
            raise JobGone
        self._egress = await self.tx.first(sql.SENT, attempt=self.attempt.id)
        return Try(self.job, self.attempt, self._egress)

    async def depart(self, order: Order, route: Route, now: datetime) -> None:
        """Write down what is about to leave. Raises JobGone if the claim is not what it was."""
        if self.attempt is None or self.attempt.state != AttemptState.CLAIMED:
            raise JobGone
        self.attempt.state = AttemptState.SENT
        await self.tx.update(self.attempt)
        egress = Egress.of(self.attempt, order, route, now)
        await self.tx.insert(egress)
        await self.tx.insert(VendorCopy.of(egress))

    async def record(self, step: Transition) -> None:
        """Write the job's state, its place in the stream and the attempt; keep the end, and announce it."""
        await self.tx.execute(sql.SAVE_JOB, job=self.job.id, **sql.changed(self.job))
        await self.tx.insert(step)
        if self.attempt is not None:
            await self.tx.update(self.attempt)
        if self._egress is not None:
            await self.tx.update(self._egress)
        event = announcement(self.job)
        if event is not None:
            end = Ending.of(self.job, step.create_time)
            await self.tx.execute(sql.KEEP_END, job=end.id, price=end.charged_credits, on=end.day)
            self.tx.emit(event)


class Jobs:
    """Everything this service keeps."""

    def __init__(self, db: Database, changes: Changes) -> None:
        self._db = db
        self.changes = changes
        self.copies = Copies(db)
        self.now = db.clock.now
        self.new_id = db.new_id

    async def find(self, owner: UUID, generation: UUID) -> Job | None:
        """A person's own job."""
        return await self._db.first(sql.OWN, generation=generation, owner=owner)

    async def get(self, owner: UUID, generation: UUID) -> Job:
        """A person's own job; raises GenerationNotFound, for other people's as well."""
        job = await self.find(owner, generation)
        if job is None:
            raise GenerationNotFound(generation=generation_name(generation))
        return job

    async def price(self, generation: UUID) -> int | None:
        """What a job cost, whoever's it is or was; None while it is under way. Raises GenerationNotFound."""
        job = await self._db.first(sql.ANYBODYS, generation=generation)
        if job is not None:
            return job.charged_credits if job.ended else None
        # It may have been deleted this moment; its end was written before.
        end = await self._db.first(sql.ENDED, generation=generation)
        if end is None:
            raise GenerationNotFound(generation=generation_name(generation))
        return end.charged_credits

    async def page(self, owner: UUID, states: Sequence[JobState], before: Place, most: int) -> list[Job]:
        """A person's jobs in `states` that are older than `before`, newest first."""
        at = {"before": before[0], "before_id": before[1]}
        return await self._db.all(sql.PAGE, owner=owner, states=list(states), **at, most=most)

    async def queued(self, owner: UUID) -> int:
        """How many of a person's jobs wait for their turn."""
        return await self._db.one(sql.QUEUED, owner=owner)

    async def steps(self, generation: UUID, after: int) -> list[Transition]:
        """The states that came after number `after`, in order."""
        return await self._db.all(sql.SINCE, job=generation, after=after)

    async def egress(self, owner: UUID, generation: UUID, after: Place, most: int) -> list[Egress]:
        """What left for vendors, oldest first."""
        return await self._db.all(
            sql.EGRESS_PAGE, owner=owner, job=generation, after=after[0], after_id=after[1], most=most
        )

    @asynccontextmanager
    async def transaction(self, generation: UUID) -> AsyncIterator[Transaction]:
        """A transaction that adds a job; workers and streams hear of it once it is committed."""
        async with self._db.transaction() as tx:
            yield tx
        self.changes.ring(generation)
        self.changes.work.set()

    async def claim(self, share: int, lease: timedelta) -> Claim | None:
        """Take the job whose turn it is: the claim and its attempt are one commit. None if there is none.

        `share`: how many of one person's jobs may be under way at a time.
        """
        now, attempt = self.now(), self.new_id()
        async with self._db.transaction() as tx:
            await tx.execute(sql.ONE_CLAIM_AT_A_TIME)
            job = await tx.first(sql.NEXT_IN_TURN, now=now, share=share)
            if job is None:
                return None
            held = Held(tx, job, None)
            step = job.submit(attempt, now)
            await tx.insert(Attempt.begin(attempt, job, lease, now))
            await held.record(step)
        self.changes.ring(job.id)
        return Claim(job, attempt)

    @asynccontextmanager
    async def held(self, owner: UUID, generation: UUID, attempt: UUID | None = None) -> AsyncIterator[Held]:
        """Lock a job that has not ended, to change it. Raises JobGone.

        With `attempt`, the job must still be in the hands of that attempt.
        """
        async with self._db.transaction() as tx:
            job = await tx.first(sql.LOCKED, owner=owner, job=generation)
            if job is None or job.ended or attempt not in (None, job.attempt):
                raise JobGone
            held = Held(tx, job, None)
            if job.attempt is not None:
                held.attempt = await tx.first(sql.ATTEMPT, attempt=job.attempt)
            yield held
        self.changes.ring(generation)
        self.changes.work.set()

    async def cancel(self, owner: UUID, generation: UUID) -> None:
        """Its owner wants it no more. Changes nothing in a job that is not there or has ended."""
        with suppress(JobGone):
            async with self.held(owner, generation) as held:
                step = cancel(held.job, held.attempt, self.now())
                if step is not None:
                    await held.record(step)

    async def delete(self, owner: UUID, generation: UUID) -> Removed:
        """Remove a job that has ended; the record of what left stays.

        Raises GenerationNotFound, GenerationUnderWay.
        """
        name = generation_name(generation)
        async with self._db.transaction() as tx:
            job = await tx.first(sql.LOCKED, owner=owner, job=generation)
            if job is None:
                raise GenerationNotFound(generation=name)
            if not job.ended:
                raise GenerationUnderWay(generation=name)
            states = await tx.execute(sql.REMOVE_STEPS, job=generation)
            attempts = await tx.execute(sql.REMOVE_ATTEMPTS, job=generation)
            await tx.execute(sql.REMOVE_JOB, job=generation)
            copies = await self.copies.unwanted_of_generation(tx, owner, generation)
            egress = await tx.one(sql.LINES_OF_EGRESS, owner=owner, job=generation)
        self.changes.ring(generation)
        return Removed(job, self.now(), states, attempts, egress, copies)

    async def renew(self, attempts: Sequence[UUID], lease: timedelta) -> int:
        """Keep the claims of attempts in hand for another `lease`."""
        until = self.now() + lease
        return await self._db.execute(sql.RENEW, attempts_in_hand=list(attempts), until=until)

    async def abandoned(self) -> list[tuple[UUID, UUID]]:
        """(job, account) of attempts whose worker did not renew its lease."""
        return await self._db.all(sql.ABANDONED, now=self.now())

    async def overdue(self) -> list[tuple[UUID, UUID]]:
        """(job, account) of jobs whose fate stayed unknown until their deadline."""
        return await self._db.all(sql.OVERDUE, now=self.now())

    async def forget(self) -> int:
        """Remove the ends that nobody asks about any more; answers how many."""
        return await self._db.execute(sql.FORGET_ENDINGS, before=self.now().date() - ENDINGS_KEPT)

    async def follow(self) -> None:
        """Tell watchers in this process what other processes changed, until cancelled: one query a poll."""
        known: dict[UUID, int] = {}
        while True:
            await asyncio.sleep(POLL_SECONDS)
            watched = self.changes.watched
            if not watched:
                continue
            numbers = dict(await self._db.all(sql.NUMBERS, jobs=watched))
            for generation in watched:
                if numbers.get(generation) is None or numbers[generation] != known.get(generation):
                    self.changes.ring(generation)
            known = numbers


async def cancel_all(tx: Transaction, account: UUID) -> None:
    """Somebody is being erased: what they ordered and did not get is announced as cancelled."""
    for generation in await tx.all(sql.NOT_ENDED, owner=account):
        names = {"account": account_name(account), "generation": generation_name(generation)}
        tx.emit(events_pb2.GenerationCancelled(**names))
