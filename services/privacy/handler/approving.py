"""What deleting an account would do; and the moment in which its owner's approval is written down."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any
from uuid import UUID

from crafiq.privacy.v1 import privacy_pb2
from crafiq.promises.v1 import promises_pb2
from google.protobuf.empty_pb2 import Empty

from chassis.db import RequestIdReused
from chassis.rpc import Call
from promises.erasing import Wanted
from promises.shares import merged
from services.privacy.domain import Case, DeletionPlanUnknown, Fates, HolderCase, Plan, Scrub
from services.privacy.domain.plans import words_on
from services.privacy.handler.shelf import Shelf, moment


class Approving(Shelf):
    """PreviewDeletion, ApproveErasure, VoidErasure, ReportScrub."""

    async def PreviewDeletion(
        self, _request: privacy_pb2.PreviewDeletionRequest, call: Call
    ) -> privacy_pb2.DeletionPlan:
        """Ask every holder, side by side, and keep what is shown."""
        plans = await self.holders.plans(call.account)
        found, now = fates(plans), self.clock.now()
        await self.erasures.keep_plan(Plan.of(call.account, found, now))
        policy = await self.documents.policy(now)
        silent = set(self.holders.names) - {plan.holder for plan in plans}
        return privacy_pb2.DeletionPlan(
            plan_hash=found.hash,
            buckets=[_bucket(each, policy) for each in merged(plans)],
            silent_holders=sorted(silent),
            make_time=moment(now),
        )

    async def ApproveErasure(
        self, request: privacy_pb2.ApproveErasureRequest, _call: Call
    ) -> privacy_pb2.ApproveErasureResponse:
        """Compare with what was shown, open the case, write the tombstone; the last of it decides."""
        account, erasure = _id(request.account), _id(request.erasure)
        shown = await self.erasures.plan(account, request.plan_hash)
        if shown is None:
            raise DeletionPlanUnknown
        wanted = shown.with_current(fates(request.plans))
        if wanted.hash != shown.plan_hash:
            # The refusal says what is new, so that it may be approved right away.
            await self.erasures.keep_plan(Plan.of(account, wanted, self.clock.now()))
            raise wanted.instead_of(shown.fates)
        case = await self._open(request, account, erasure)
        await self.ledger.write(Wanted(account, erasure, case.approved_at))
        return privacy_pb2.ApproveErasureResponse(approve_time=moment(case.approved_at))

    async def VoidErasure(self, request: privacy_pb2.VoidErasureRequest, _call: Call) -> Empty:
        """Identity could not delete the account: this approval does not count, nor its tombstone."""
        erasure, approved_at = _id(request.erasure), request.approve_time.ToDatetime(tzinfo=UTC)
        async with self.erasures.locked(erasure) as held:
            if held is not None and held.case.account and held.case.deleted_at != approved_at:
                await self.ledger.void(Wanted(held.case.account, erasure, approved_at))
                if held.case.void(approved_at):
                    await held.save()
        return Empty()

    async def ReportScrub(self, request: privacy_pb2.ReportScrubRequest, _call: Call) -> Empty:
        """Keep it: supplements wait for one that found nothing."""
        scrub = Scrub(
            id=self.erasures.db.new_id(),
            began_at=request.begin_time.ToDatetime(tzinfo=UTC),
            ended_at=request.end_time.ToDatetime(tzinfo=UTC),
            searched_bytes=request.searched_bytes,
            searched_values=request.searched_values,
            hits=request.hits,
        )
        await self.erasures.report(scrub)
        return Empty()

    async def _open(self, request: privacy_pb2.ApproveErasureRequest, account: UUID, erasure: UUID) -> Case:
        """The case; the one that is there if the same was asked before. Raises RequestIdReused."""
        now, secret_hash = self.clock.now(), request.receipt_secret_hash
        case = Case.approve(erasure, account, secret_hash, request.plan_hash, now)
        before = {plan.holder: lines(plan.buckets) for plan in request.plans}
        told = [HolderCase.told(erasure, name, before.get(name), now) for name in self.holders.names]
        if await self.erasures.open(case, told):
            return case
        async with self.erasures.locked(erasure) as held:
            if held is None or not held.case.again(account, secret_hash, request.plan_hash, now):
                raise RequestIdReused
            await held.save()
            return held.case


def fates(plans: Iterable[promises_pb2.Plan]) -> Fates:
    """Which fates and grounds holders name."""
    return Fates(
        {
            plan.holder: tuple((promises_pb2.Fate.Name(each.fate), each.ground) for each in plan.buckets)
            for plan in plans
        }
    )


def lines(buckets: Iterable[promises_pb2.Bucket]) -> list[dict[str, Any]]:
    """What is counted, a line for each category of each bucket; times in RFC 3339."""
    return [
        {
            "category": each.category,
            "fate": promises_pb2.Fate.Name(bucket.fate),
            "ground": bucket.ground,
            "until": bucket.until.ToJsonString() if bucket.HasField("until") else None,
            "count": each.count,
        }
        for bucket in buckets
        for each in bucket.counts
    ]


def _bucket(bucket: promises_pb2.Bucket, policy: str) -> privacy_pb2.PlannedFate:
    return privacy_pb2.PlannedFate(
        fate=bucket.fate,
        policy_text=words_on(promises_pb2.Fate.Name(bucket.fate), bucket.ground, policy),
        ground=bucket.ground,
        until=bucket.until if bucket.HasField("until") else None,
        counts=bucket.counts,
    )


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])
