"""Plans, erasures with their holders, scrubs, and the keys of receipts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import col

from chassis.db import Database, Queries, Record, Statement, Transaction, scalar
from promises.erasing import Wanted
from services.privacy.domain import Case, HolderCase, Plan, ReceiptKey, Scrub
from services.privacy.domain.erasures import MOMENT, OVERDUE
from services.privacy.domain.plans import PLAN_LIVES
from services.privacy.domain.receipts import SCRUBBED_WITHIN

CASE = Statement(select(Case).where(col(Case.id) == bindparam("erasure")), Case)
CASE_LOCKED = Statement(select(Case).where(col(Case.id) == bindparam("erasure")).with_for_update(), Case)
_HOLDERS = (
    select(HolderCase).where(col(HolderCase.erasure) == bindparam("case")).order_by(col(HolderCase.holder))
)
HOLDERS = Statement(_HOLDERS, HolderCase)
HOLDERS_LOCKED = Statement(_HOLDERS.with_for_update(), HolderCase)
# Rows as JSON, so that those of a case are one statement.
_ROWS = "jsonb_populate_recordset(CAST(NULL AS erasure_holders), :rows) AS new"
_CASE = list(Case.model_fields)
# Nothing if there is such a case.
OPEN = Statement(
    text(
        f"WITH opened AS (INSERT INTO erasure_cases ({', '.join(_CASE)})"  # noqa: S608  # our own columns
        f" VALUES ({', '.join(f':{name}' for name in _CASE)}) ON CONFLICT (id) DO NOTHING RETURNING id),"
        " told AS (INSERT INTO erasure_holders"
        f"  SELECT new.* FROM {_ROWS} JOIN opened ON opened.id = new.erasure)"
        " SELECT id FROM opened"
    ).bindparams(bindparam("rows", type_=JSONB)),
    scalar,
)
_CHANGING = ("state", '"left"', "vendors", "tries", "cause", "remind_at", "answered_at", "verified_at")
SAVE_HOLDERS = Statement(
    text(
        f"UPDATE erasure_holders AS h SET {', '.join(f'{name} = new.{name}' for name in _CHANGING)}"  # noqa: S608  # our own words
        f" FROM {_ROWS} WHERE h.erasure = new.erasure AND h.holder = new.holder"
    ).bindparams(bindparam("rows", type_=JSONB))
)
# Somebody looks at them now; should they die, somebody else does when the lease is over.
CLAIM = Statement(
    text(
        "UPDATE erasure_cases SET due = :until WHERE id IN (SELECT id FROM erasure_cases WHERE due <= :now"
        " AND state NOT IN ('CLOSED', 'VOIDED') ORDER BY due LIMIT :most FOR UPDATE SKIP LOCKED) RETURNING id"
    ),
    scalar,
)
# Before the first scrub, the first key of receipts says since when there is something to scrub.
STANDING: Statement[Record] = Statement(
    text(
        "SELECT"
        " (SELECT count(*) FROM erasure_cases WHERE state = 'ERASING' AND deleted_at < :late) AS overdue,"
        " (SELECT count(*) FROM erasure_cases WHERE state = 'RECEIPT_SIGNED' AND signed_at < :yesterday"
        "  AND NOT EXISTS (SELECT FROM scrubs WHERE hits = 0 AND began_at >= signed_at)) AS unscrubbed,"
        " COALESCE((SELECT max(began_at) FROM scrubs WHERE hits = 0), (SELECT min(since) FROM receipt_keys))"
        "  AS scrubbed,"
        " (SELECT COALESCE(sum(hits), 0) FROM scrubs WHERE began_at > :yesterday) AS hits"
    )
)
REVISION = Statement(select(col(Case.revision)).where(col(Case.id) == bindparam("erasure")), scalar)
_PLAN = insert(Plan).values(
    account=bindparam("whose"),
    plan_hash=bindparam("hash"),
    buckets=bindparam("shown"),
    made_at=bindparam("at"),
)
KEEP_PLAN = Statement(
    _PLAN.on_conflict_do_update(
        index_elements=["account", "plan_hash"],
        set_={"buckets": _PLAN.excluded.buckets, "made_at": _PLAN.excluded.made_at},
    )
)
PLAN = Statement(
    select(Plan).where(
        col(Plan.account) == bindparam("whose"),
        col(Plan.plan_hash) == bindparam("hash"),
        col(Plan.made_at) > bindparam("since", type_=DateTime(timezone=True)),
    ),
    Plan,
)
OLD_PLANS = Statement(text("DELETE FROM erasure_plans WHERE made_at <= :before"))
# Those that wait for a scrub look whether this one will do.
LOOK_AT_SIGNED = Statement(
    text("UPDATE erasure_cases SET due = LEAST(due, :now) WHERE state = 'RECEIPT_SIGNED'")
)
CLEAN_SCRUB = Statement(
    select(Scrub)
    .where(col(Scrub.began_at) >= bindparam("since", type_=MOMENT), col(Scrub.hits) == 0)
    .order_by(col(Scrub.began_at))
    .limit(1),
    Scrub,
)
KEYS = Statement(select(ReceiptKey).order_by(col(ReceiptKey.since).desc()), ReceiptKey)
KEEP_KEY = Statement(
    insert(ReceiptKey)
    .values(kid=bindparam("id_"), jwk=bindparam("public"), since=bindparam("at"))
    .on_conflict_do_nothing()
)


class Open:
    """A case that is locked until the block ends, with its holders."""

    def __init__(self, tx: Transaction, case: Case, holders: list[HolderCase]) -> None:
        self._tx, self.case, self.holders = tx, case, holders
        self._before = [(each.shown, _json(each)) for each in holders]

    def hear(self, answers: Mapping[str, datetime]) -> None:
        """Who answered, and when."""
        for each in self.holders:
            each.answer(answers.get(each.holder))

    async def save(self) -> None:
        """Write what has changed; those who watch hear of what changed in a holder."""
        pairs = list(zip(self.holders, self._before, strict=True))
        self.case.revision += any(each.shown != shown for each, (shown, _) in pairs)
        await self._tx.update(self.case)
        if changed := [now for each, (_, before) in pairs if (now := _json(each)) != before]:
            await self._tx.execute(SAVE_HOLDERS, rows=changed)

    async def clean_scrub(self, since: datetime) -> Scrub | None:
        """The first scrub that began after a time and found nothing.

        One that is reported while the case is locked has it looked at again.
        """
        return await self._tx.first(CLEAN_SCRUB, since=since)


class Erasures:
    """Erasures, by the id that their client chose."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def keep_plan(self, plan: Plan) -> None:
        """Keep what somebody was shown."""
        await self.db.execute(
            KEEP_PLAN, whose=plan.account, hash=plan.plan_hash, shown=plan.buckets, at=plan.made_at
        )

    async def plan(self, account: UUID, plan_hash: str) -> Plan | None:
        """What somebody was shown in the last day under this hash."""
        since = self.db.clock.now() - PLAN_LIVES
        return await self.db.first(PLAN, whose=account, hash=plan_hash, since=since)

    async def sweep_plans(self) -> int:
        """Forget plans that are a day old."""
        return await self.db.execute(OLD_PLANS, before=self.db.clock.now() - PLAN_LIVES)

    async def get(self, erasure: UUID) -> Case | None:
        """A case."""
        return await self.db.first(CASE, erasure=erasure)

    async def holders(self, erasure: UUID) -> list[HolderCase]:
        """Its holders."""
        return await self.db.all(HOLDERS, case=erasure)

    async def revision(self, erasure: UUID) -> int | None:
        """Which of its changes is the latest."""
        return await self.db.first(REVISION, erasure=erasure)

    @asynccontextmanager
    async def locked(self, erasure: UUID) -> AsyncIterator[Open | None]:
        """A case to be changed; None if there is no such case."""
        async with self.db.transaction() as tx:
            case = await tx.first(CASE_LOCKED, erasure=erasure)
            yield None if case is None else Open(tx, case, await tx.all(HOLDERS_LOCKED, case=erasure))

    async def open(self, case: Case, holders: Sequence[HolderCase]) -> bool:
        """A case that begins, with those who are to answer; False if there is one of that name."""
        return await self._open(self.db, case, holders)

    @staticmethod
    async def _open(queries: Queries, case: Case, holders: Sequence[HolderCase]) -> bool:
        rows = [_json(each) for each in holders]
        return await queries.first(OPEN, **case.model_dump(), rows=rows) is not None

    async def begin(self, tx: Transaction, wanted: Wanted, holders: Sequence[str]) -> None:
        """The account is gone; of a case that is not known here (any more), nobody knows the secret."""
        now, case = self.db.clock.now(), await tx.first(CASE_LOCKED, erasure=wanted.erasure)
        if case is not None:
            case.begin(wanted.deleted_at, now)
            await tx.update(case)
            return
        told = [HolderCase.told(wanted.erasure, holder, None, now) for holder in holders]
        await self._open(tx, Case.from_ledger(wanted.erasure, wanted.account, wanted.deleted_at, now), told)

    async def claim(self, most: int, lease: timedelta) -> list[UUID]:
        """Cases that it is time to look at."""
        now = self.db.clock.now()
        return await self.db.all(CLAIM, now=now, until=now + lease, most=most)

    async def standing(self, now: datetime) -> Record:
        """`overdue`: without a receipt a minute later; `unscrubbed`: without a clean scrub a day after it;
        `scrubbed`: when the last clean scrub began; `hits`: what was found in the last day."""
        return await self.db.one(STANDING, late=now - OVERDUE, yesterday=now - SCRUBBED_WITHIN)

    async def report(self, scrub: Scrub) -> None:
        """Keep what a scrub found; whoever waited for it looks again soon."""
        async with self.db.transaction() as tx:
            await tx.insert(scrub)
            await tx.execute(LOOK_AT_SIGNED, now=self.db.clock.now())

    async def keys(self) -> list[ReceiptKey]:
        """Every public key that receipts were signed with, newest first."""
        return await self.db.all(KEYS)

    async def keep_keys(self, keys: Sequence[ReceiptKey]) -> None:
        """Remember public keys for good."""
        for key in keys:
            await self.db.execute(KEEP_KEY, id_=key.kid, public=key.jwk, at=key.since)


def _json(holder: HolderCase) -> dict[str, Any]:
    return holder.model_dump(mode="json")
