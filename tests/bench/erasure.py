"""What it takes to be forgotten: from the answer of `:delete` until the receipt is signed.

Bare are the same deletes in plain SQL, a transaction a database, side by side, on open connections: no
bus, no services, no second look, nothing kept and nothing signed. Identity's rows go before the answer,
so they are on neither side. For objects it is storage's own bulk deletion. Ours and bare take turns on
people of the same size.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any, Self
from uuid import UUID, uuid4

from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from crafiq.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from sqlalchemy import MetaData, Table

from chassis.clock import Clock
from chassis.rpc import mint
from promises.inventory import DELETE, Declaration, Subject, declared
from services.assets.domain.shelves import bounds
from services.identity.adapters.signing import SigningKeys
from tests.bench.leavers import TABLES, Leaver, People, announce, opened
from tests.bench.rows import Row, sooner, within
from tests.bench.servers import beside
from tests.bench.storage import Shelf, shelf_of
from tests.e2e.matrix import Doors
from tests.running import Running

LIVES = timedelta(minutes=5)
SMALL, USUAL, LARGE = 10, 1_000, 100_000
ROUNDS = {SMALL: 12, USUAL: 24, LARGE: 2}
"""Rows a person, and how often it is measured."""
WARM_UP = 2
"""Rounds of each kind that do not count: statements are prepared and planned on each connection."""
P50, P99 = 60.0, 250.0  # milliseconds
LARGE_MILLISECONDS, LARGE_RATIO = 1_000.0, 0.667
OBJECTS, OBJECT_ROUNDS, OBJECTS_MORE, OBJECT = (10, 1_000), 2, 600.0, b"x" * 1024
CROWD, CROWD_ROWS, CROWD_SECONDS, OTHERS_SLOWER = 100, 100, 5.0, 1.5
CROWD_ROUNDS, AROUND = 5, 3.0  # times; seconds before and after
LOOK, EVERY = 0.002, 0.05  # seconds between looks at a receipt, and between an onlooker's calls
LOAD = "rows in four services, past the gateway, fsynced; receipt looked for every 2 ms"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What somebody sends who has looked at the plan."""

    request: identity_pb2.DeleteAccountRequest
    metadata: Any

    @property
    def erasure(self) -> UUID:
        return UUID(self.request.request_id)


class Desk:
    """Where people delete themselves, called as the gateway calls it."""

    def __init__(self, running: Running, people: People) -> None:
        self.people, self._doors = people, Doors(running.state)
        self._keys = SigningKeys(running.state / "secrets" / "identity" / "signing", Clock())
        self._privacy = privacy_pb2_grpc.PrivacyServiceStub(self._doors.channel("privacy", "gateway"))
        self._identity = identity_pb2_grpc.IdentityServiceStub(self._doors.channel("identity", "gateway"))

    @classmethod
    @asynccontextmanager
    async def opened(cls, running: Running) -> AsyncIterator[Self]:
        """In a platform in which others live already, as planners and the bus know them.

        More of them than a planner keeps in mind one by one (100), or it plans anew for each who is none of
        those; and what they did lately is on the bus, or each who leaves leaves an empty stream.
        """
        async with opened(running) as people:
            await people.settle(*(Leaver(50) for _ in range(400)))
            await people.analyse()
            await announce(running.state)
            desk = cls(running, people)
            yield desk
            await desk._doors.close()

    def metadata(self, leaver: Leaver) -> Any:
        """That of a call of somebody who is signed in."""
        now = datetime.now(UTC)
        token = mint(self._keys.signer(), leaver.account, leaver.session, now=now, expires_at=now + LIVES)
        return (("authorization", f"Bearer {token}"), ("x-forwarded-for", "192.0.2.1"))

    async def planned(self, leaver: Leaver) -> Deletion:
        """Look at the plan, prove who it is: the rest is one call."""
        now, metadata = datetime.now(UTC), self.metadata(leaver)
        plan = await self._privacy.PreviewDeletion(
            privacy_pb2.PreviewDeletionRequest(), metadata=metadata, timeout=10
        )
        assert not plan.silent_holders
        proof = self._keys.reauth_token(leaver.account, leaver.session, now=now, expires_at=now + LIVES)
        names = {"plan_hash": plan.plan_hash, "request_id": str(uuid4()), "receipt_secret": "s" * 32}
        return Deletion(identity_pb2.DeleteAccountRequest(reauth_token=proof, **names), metadata)

    async def send(self, deletion: Deletion) -> None:
        """Delete, to the answer."""
        await self._identity.DeleteAccount(deletion.request, metadata=deletion.metadata, timeout=30)

    async def signed(self, *deletions: Deletion) -> None:
        """Until all have their receipt."""
        wanted, signed = [each.erasure for each in deletions], 0
        sql = "SELECT count(*) FROM erasure_cases WHERE id = ANY ($1) AND receipt IS NOT NULL"
        while signed < len(wanted):
            await asyncio.sleep(LOOK * len(wanted))
            signed = await self.people.pools["privacy"].fetchval(sql, wanted)

    async def ours(self, leaver: Leaver) -> float:
        """Milliseconds from the answer to the receipt."""
        deletion = await self.planned(leaver)
        await self.send(deletion)
        answered = time.perf_counter()
        await self.signed(deletion)
        return (time.perf_counter() - answered) * 1000

    async def bare(self, leaver: Leaver) -> float:
        """Milliseconds that the deletes take by hand."""
        began = time.perf_counter()
        await asyncio.gather(*(self._by_hand(name, leaver.account) for name in RAW))
        return (time.perf_counter() - began) * 1000

    async def _by_hand(self, service: str, account: UUID) -> None:
        async with self.people.pools[service].acquire() as connection, connection.transaction():
            for statement in RAW[service]:
                await connection.execute(statement, account)
            if service == "assets":
                await connection.execute("DELETE FROM objects WHERE key BETWEEN $1 AND $2", *bounds(account))


def _raw(metadata: MetaData) -> Iterator[str]:
    """What a person at a console would write: who refers to others first, the subject last."""
    for table in reversed(metadata.sorted_tables):
        for column in table.columns:
            if isinstance(what := declared(column), Subject):
                goes = f"DELETE FROM {table.name}" if what.erase is DELETE else _nulls(table)  # noqa: S608  # our own names
                yield f"{goes} WHERE {column.name} = $1"
    subjects, _, key = metadata.info["subjects"].partition(".")
    yield f"DELETE FROM {subjects} WHERE {key} = $1"  # noqa: S608  # our own names


def _nulls(table: Table) -> str:
    names = [c.name for c in table.columns if isinstance(declared(c), Declaration)]
    return f"UPDATE {table.name} SET account = NULL, {', '.join(f'{name} = NULL' for name in names)}"  # noqa: S608  # our own names


RAW = {name: list(_raw(metadata)) for name, metadata in TABLES.items() if name != "identity"}


async def _by_rows(desk: Desk, *numbers: int) -> list[Row]:
    answer = []
    for number in numbers:
        ours, bare = [], []
        for _ in range(ROUNDS[number] + WARM_UP):
            mine, theirs = Leaver(number), Leaver(number)
            await desk.people.settle(mine, theirs)
            ours.append(await desk.ours(mine))
            bare.append(await desk.bare(theirs))
        answer += _of_rows(number, ours[WARM_UP:], bare[WARM_UP:])
    return answer


def _of_rows(number: int, ours: list[float], bare: list[float]) -> list[Row]:
    name, load = f"erasure of {number:,} rows", f"{number:,} {LOAD}; raw {statistics.median(bare):.0f} ms"
    p50 = within(f"{name}, p50", statistics.median(ours), P50, "ms", load=load)
    slowest = f"{name}, slowest of {len(ours)}"
    if number == SMALL:
        return [p50]
    if number == LARGE:
        against_raw = sooner(f"{name} / raw deletes", LARGE_RATIO, ours, bare, load=load)
        return [against_raw, within(slowest, max(ours), LARGE_MILLISECONDS, "ms", load=load)]
    return [p50, within(slowest, max(ours), P99, "ms", load=load)]


async def _by_objects(desk: Desk, shelf: Shelf) -> list[Row]:
    """With objects and without, people who have the same rows."""
    answer = []
    for number in OBJECTS:
        more, alone = [], []
        for _ in range(OBJECT_ROUNDS):
            with_objects, without = Leaver(100), Leaver(100)
            await desk.people.settle(with_objects, without)
            await shelf.fill(with_objects.account, number, OBJECT)
            keys = await shelf.fill(without.account, number, OBJECT)
            alone.append(await shelf.removed(keys))  # storage's own bulk deletion
            more.append(await desk.ours(with_objects) - await desk.ours(without))
        load = f"100 {LOAD}; {len(OBJECT)} B each; storage alone: {statistics.median(alone):.0f} ms"
        added = statistics.median(more)
        answer.append(within(f"erasure, {number:,} objects add", added, OBJECTS_MORE, "ms", load=load))
    return answer


async def _look_on(gateway: str, token: str, out: Any) -> None:
    """Somebody else asks for the balance all the while, as a client does: when, and how many milliseconds."""
    out.send(await asyncio.to_thread(_balances, gateway, token, out))


def _balances(gateway: str, token: str, out: Any) -> list[tuple[float, float]]:
    client, calls = HTTPConnection(gateway.rpartition("/")[2]), []
    out.send(None)
    while not out.poll(EVERY):
        began = time.time()
        client.request("GET", "/v1/billing/balance", headers={"Authorization": token})
        answer = client.getresponse()
        assert (answer.status, answer.read()[:1]) == (200, b"{")
        calls.append((began, (time.time() - began) * 1000))
    out.recv()
    client.close()
    return calls


@dataclass(frozen=True, slots=True)
class _Crowd:
    """How long all took, in seconds; and somebody else's calls, in milliseconds, around it and meanwhile."""

    seconds: float
    calm: list[float]
    busy: list[float]

    @property
    def slower(self) -> float:
        """How many times as long as else."""
        return statistics.median(self.busy) / statistics.median(self.calm)


async def _crowd(running: Running, desk: Desk) -> _Crowd:
    """A hundred delete at once, and somebody else wants something before, meanwhile and afterwards."""
    crowd, other = [Leaver(CROWD_ROWS) for _ in range(CROWD)], Leaver()
    await desk.people.settle(other, *crowd)
    deletions = [await desk.planned(leaver) for leaver in crowd]
    with beside(_look_on, running.gateway, dict(desk.metadata(other))["authorization"]) as onlooker:
        await asyncio.to_thread(onlooker.recv)
        await asyncio.sleep(AROUND + 0.5)
        began = time.time()
        await asyncio.gather(*(desk.send(deletion) for deletion in deletions))
        await desk.signed(*deletions)
        ended = time.time()
        await asyncio.sleep(AROUND + 0.5)
        onlooker.send(None)
        calls = await asyncio.to_thread(onlooker.recv)
    busy = [took for at, took in calls if began < at < ended]
    around = (began - AROUND, began), (ended + 0.5, ended + 0.5 + AROUND)
    calm = [took for at, took in calls if any(start < at < end for start, end in around)]
    return _Crowd(ended - began, calm, busy)


async def _in_crowds(running: Running, desk: Desk) -> list[Row]:
    """The medians of several crowds, for the machine has its own moods."""
    crowds = [await _crowd(running, desk) for _ in range(CROWD_ROUNDS)]
    seconds, slower = [each.seconds for each in crowds], [each.slower for each in crowds]
    middle = sorted(crowds, key=lambda each: each.slower)[CROWD_ROUNDS // 2]
    load = f"{CROWD} people with {CROWD_ROWS} {LOAD}; {_each(seconds)} s"
    calm, busy = middle.calm, middle.busy
    others = (
        f"GET balance of somebody else by REST, {_each(slower)};"
        f" p50 {statistics.median(calm):.1f} ms around and {statistics.median(busy):.1f} meanwhile,"
        f" p99 {_p99(calm):.1f} and {_p99(busy):.1f}"
    )
    all_signed, median = f"{CROWD} erasures at once, all signed", statistics.median(seconds)
    return [
        within(all_signed, median, CROWD_SECONDS, "s", load=load),
        within("others' requests meanwhile", middle.slower, OTHERS_SLOWER, "times", load=others),
    ]


def _each(figures: list[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in figures)


def _p99(figures: list[float]) -> float:
    return statistics.quantiles(figures, n=100)[98]


async def rows(running: Running) -> list[Row]:
    """By rows, in a crowd, by objects. Many rows and objects leave the disk and vacuum much to do: last."""
    async with Desk.opened(running) as desk, shelf_of(running) as shelf:
        return [
            *await _by_rows(desk, SMALL, USUAL),
            *await _in_crowds(running, desk),
            *await _by_rows(desk, LARGE),
            *await _by_objects(desk, shelf),
        ]
