"""DataHolder: what a service holds about people, told, previewed, erased, looked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from uuid import UUID

from crafiq.promises.v1 import promises_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from sqlalchemy import Column, MetaData, Table

from chassis.db import Database
from chassis.rpc import Call
from promises.eraser import Eraser
from promises.erasing import Wanted
from promises.holdings import WHOSE, Holdings
from promises.inventory import Declaration, Erase, Subject, declared

DATA_HOLDER = promises_pb2.DESCRIPTOR.services_by_name["DataHolder"]


class Holder:
    """`crafiq.promises.v1.DataHolder` of one service, from its declarations. `replay` applies the ledger."""

    def __init__(
        self,
        db: Database,
        metadata: MetaData,
        holdings: Holdings,
        eraser: Eraser,
        replay: Callable[[], Awaitable[int]],
    ) -> None:
        self._db, self._holdings, self._eraser, self._replay = db, holdings, eraser, replay
        self._name = str(metadata.info["service"])
        self._tables = [_described(table) for table in metadata.sorted_tables]

    async def Describe(self, _request: promises_pb2.DescribeRequest, _call: Call) -> promises_pb2.Description:
        """The inventory."""
        return promises_pb2.Description(holder=self._name, tables=self._tables)

    async def Preview(self, request: promises_pb2.PreviewRequest, _call: Call) -> promises_pb2.Plan:
        """What erasing this account now would do."""
        return await self._holdings.plan(_id(request.account))

    async def Erase(self, request: promises_pb2.EraseRequest, _call: Call) -> promises_pb2.Standing:
        """Begin, or begin again."""
        deleted_at = request.delete_time.ToDatetime(tzinfo=UTC)
        wanted = Wanted(_id(request.account), _id(request.erasure), deleted_at)
        async with self._db.transaction() as tx:
            await self._eraser.ask(tx, wanted, again=True)
        return await self._standing(wanted.account)

    async def Verify(self, request: promises_pb2.VerifyRequest, _call: Call) -> promises_pb2.Findings:
        """What is found, and where the erasure stands: never newer than the look."""
        account, erasure = _id(request.account), _id(request.erasure) if request.erasure else None
        findings = await self._holdings.findings(account, erasure)
        if not findings.HasField("standing"):  # under way: how far, and then what there is
            standing = await self._standing(account)
            findings = await self._holdings.findings(account, erasure)
            findings.standing.CopyFrom(standing)
        return findings

    async def Replay(self, _request: promises_pb2.ReplayRequest, _call: Call) -> promises_pb2.ReplayResponse:
        """Apply the ledger again."""
        return promises_pb2.ReplayResponse(holder=self._name, applied=await self._replay())

    async def TakeWitnesses(
        self, _request: promises_pb2.TakeWitnessesRequest, _call: Call
    ) -> promises_pb2.TakeWitnessesResponse:
        """Some of what was erased lately."""
        now = self._db.clock.now()
        answer = promises_pb2.TakeWitnessesResponse(
            holder=self._name, values=self._eraser.witnesses.taken(now)
        )
        answer.take_time.FromDatetime(now)
        return answer

    async def ForgetWitnesses(self, request: promises_pb2.ForgetWitnessesRequest, _call: Call) -> Empty:
        """They were looked for and not found."""
        self._eraser.witnesses.forget(request.take_time.ToDatetime(tzinfo=UTC))
        return Empty()

    async def _standing(self, account: UUID) -> promises_pb2.Standing:
        standing = await self._eraser.standing(account)
        standing.holder = self._name
        return standing


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])


def _described(table: Table) -> promises_pb2.Table:
    columns = [_column(column) for column in table.columns]
    whose = next((d for c in table.columns if isinstance(d := declared(c), Subject)), None)
    described = promises_pb2.Table(table=table.name, columns=columns)
    if whose is not None:
        described.erasure = _erasure(whose.erase)
    return described


def _column(column: Column[object]) -> promises_pb2.Column:
    what = declared(column)
    if isinstance(what, Declaration):
        return promises_pb2.Column(
            column=column.name,
            personal=True,
            category=what.category,
            purpose=what.purpose,
            basis=what.basis,
            retention=what.keep.rule,
            retention_limit=_duration(what.keep.at_most),
            erasure=_erasure(what.erase),
        )
    if isinstance(what, Subject):
        return promises_pb2.Column(
            column=column.name, personal=True, category=WHOSE, erasure=_erasure(what.erase)
        )
    return promises_pb2.Column(column=column.name, why=what.why if what is not None else "")


def _erasure(erase: Erase) -> promises_pb2.Erasure.ValueType:
    return promises_pb2.Erasure.Value(erase)


def _duration(longest: timedelta | None) -> Duration | None:
    if longest is None:
        return None
    duration = Duration()
    duration.FromTimedelta(longest)
    return duration
