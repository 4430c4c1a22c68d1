"""A scrub from its begin to its report."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg
import grpc.aio
from crafiq.assets.v1 import assets_pb2, assets_pb2_grpc
from crafiq.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.rpc import refusal_from
from cli.local import Local, NotUpError
from cli.progress import Progress, Step
from cli.scrub.memory import Memory
from cli.scrub.orphans import SPARED, OrphansNotFoundOut
from cli.scrub.outcome import Outcome, Streams
from cli.scrub.rewriting import Rewritten, forget_wal, rewrite
from cli.scrub.storage import ObjectStore
from cli.search import Hit, Needles, Sought
from cli.search.files import Looked, look_through
from cli.search.rows import look_at_rows
from deploy.local.infra import SERVICES

STEPS = 8
AGAIN = 4
"""Steps that are done once more if something was found: a server may have been in the middle of something."""
PATIENCE = 60  # seconds a service has for an answer
COPYING = 1800  # seconds that assets has to copy what was published today
FAULTS = (
    NotUpError, OrphansNotFoundOut, asyncpg.PostgresError, asyncpg.InterfaceError, aiohttp.ClientError,
    TimeoutError, OSError,
)  # fmt: skip


class Scrub:
    """One scrub. `own` are values to be looked for beside those that services hand over."""

    def __init__(self, local: Local, memory: Memory, progress: Progress, own: Iterable[Sought] = ()) -> None:
        self._local, self._memory, self._progress = local, memory, progress
        self._sought, self._taken = list(own), dict[str, Timestamp]()
        self._outcome = Outcome(began=_now())

    async def run(self) -> Outcome:
        """All of it. What one server or service did not do is told in the outcome; the rest is done."""
        done = self._outcome
        await self._ask()
        await self._blend()
        await self._clean_and_search()
        if done.hits and not done.unfinished:
            self._progress.expect(AGAIN)
            await self._clean_and_search()
        await self._streams()
        await self._report()
        return done

    async def _clean_and_search(self) -> None:
        await self._tables()
        await self._objects()
        await self._wal()
        await self._search()

    async def _ask(self) -> None:
        with self._progress.step("Ask services what they erased lately") as step:
            for service in SERVICES:
                with self._told(f"{service} handed over nothing"):
                    async with self._local.channel(service) as channel:
                        holder = promises_pb2_grpc.DataHolderStub(channel)
                        answer = await holder.TakeWitnesses(
                            promises_pb2.TakeWitnessesRequest(), timeout=PATIENCE
                        )
                    self._sought += _named(service, answer.values)
                    self._taken[service] = answer.take_time
            self._outcome.values = len({each.value for each in self._sought})
            step.found(f"{self._outcome.values} values to look for, in memory only")

    async def _blend(self) -> None:
        with self._progress.step("Write public works anew, so that their times say the day") as step:
            with self._told("public works keep their times"):
                async with self._local.channel("assets") as channel:
                    assets = assets_pb2_grpc.AssetsServiceStub(channel)
                    answer = await assets.BlendPublicWorks(
                        assets_pb2.BlendPublicWorksRequest(), timeout=COPYING
                    )
                self._outcome.blended = answer.works
            step.found(f"{self._outcome.blended} works")

    async def _tables(self) -> None:
        with self._progress.step("Rewrite tables in which something was removed or replaced") as step:
            for service in SERVICES:
                with self._told(f"tables of {service} were not rewritten"):
                    await self._rewrite(service, step)
            count = sum(each.tables for each in self._outcome.databases.values())
            size = sum(each.size for each in self._outcome.databases.values())
            step.found(f"{count} tables, {size:,} bytes")

    async def _rewrite(self, service: str, step: Step) -> None:
        before = self._memory.signatures.get(service, {})
        async with self._local.sql(service) as sql:
            self._add(service, await rewrite(sql, before, lambda table: step.found(f"{service}.{table}")))

    def _add(self, service: str, done: Rewritten) -> None:
        self._outcome.databases[service] = done
        self._memory.signatures[service] = done.signatures
        self._outcome.unfinished += [
            f"{service}.{table} was held by others all the time" for table in done.unfinished
        ]

    async def _objects(self) -> None:
        with self._progress.step("Remove the bytes of deleted objects") as step:
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with aiohttp.ClientSession(timeout=timeout) as http:
                with self._told("object storage was not vacuumed"):
                    self._outcome.objects = done = await ObjectStore(self._local.storage(), http).vacuum()
                    step.found(f"{done.deleted - done.left:,} bytes in {done.volumes} volumes")
                    if done.left:
                        self._outcome.unfinished.append(f"{done.left} bytes of deleted objects are left")
                    if left := done.orphans.deleted:
                        self._outcome.unfinished.append(f"{len(left)} pieces that no object has are left")

    async def _wal(self) -> None:
        told = self._told("the WAL was not cut off")
        with self._progress.step("Cut off what was written ahead"), told:
            async with self._local.sql("postgres") as sql:
                await forget_wal(sql)

    async def _search(self) -> None:
        with self._progress.step("Search the raw files") as step:
            needles = Needles(self._sought)

            def progress(looked: Looked) -> None:
                step.found(f"{looked.size:,} bytes")

            looked = await asyncio.to_thread(look_through, self._local.state.root, needles, progress)
            living = await self._living({hit.sought for hit in looked.hits})
            done = self._outcome
            done.looked, done.living = looked, len(living)
            done.hits = [hit for hit in looked.hits if hit.sought not in living]
            step.found(f"{looked.size:,} bytes in {looked.files} files, {done.found} values found")

    async def _living(self, found: set[Sought]) -> set[Sought]:
        """Of what was found, what stands in a row: somebody has it today, such as the same words."""
        hits: list[Hit] = []
        for service in SERVICES if found else ():
            async with self._local.sql(service) as sql:
                hits += (await look_at_rows(sql, service, Needles(found))).hits
        return {hit.sought for hit in hits}

    async def _streams(self) -> None:
        with self._progress.step("Ask the bus for its oldest message") as step:
            async with self._local.bus() as bus:
                manager, streams = bus.jsm(), Streams()
                for stream in await manager.streams_info():
                    streams.messages += stream.state.messages
                    streams.size += stream.state.bytes
                    if stream.state.messages:
                        first = await manager.get_msg(stream.config.name or "", stream.state.first_seq)
                        streams.oldest = min(filter(None, (streams.oldest, first.time)), default=None)
            self._outcome.streams = streams
            step.found(f"{streams.messages} messages, {streams.size:,} bytes")

    async def _report(self) -> None:
        done = self._outcome
        done.ended = _now()
        with self._progress.step("Report it to privacy, whose supplements wait for it") as step:
            if done.unfinished:
                step.found("not reported: something could not be done")
            else:
                with self._told("privacy did not hear of it"):
                    await tell_privacy(self._local, done)
                if not done.hits and not done.objects.orphans.spared:
                    await self._forget()
        self._memory.last = done.as_json()
        self._memory.save()

    async def _forget(self) -> None:
        """Have services forget what is nowhere; else the next scrub looks for it too."""
        for service, taken in self._taken.items():
            with self._told(f"{service} remembers what was looked for"):
                async with self._local.channel(service) as channel:
                    await promises_pb2_grpc.DataHolderStub(channel).ForgetWitnesses(
                        promises_pb2.ForgetWitnessesRequest(take_time=taken), timeout=PATIENCE
                    )

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            self._outcome.unfinished.append(f"{what}: {refusal_from(error)}")
        except FAULTS as error:
            self._outcome.unfinished.append(f"{what}: {str(error) or type(error).__name__}")


async def tell_privacy(local: Local, done: Outcome) -> None:
    """Report what was searched and found; raises grpc.aio.AioRpcError, NotUpError.

    A scrub that found nothing counts for supplements even if it had nothing to look for, as when services
    were started again and have forgotten what they erased: the search only proves what the rewriting did, and
    that is whole. What an earlier scrub left undone it did not remember as done (`Rewritten.signatures`);
    statistics, the WAL and object volumes are done each time; one that leaves something undone is not told.
    If it spared bytes because they are young, it counts as one that began before they came.
    """
    request = privacy_pb2.ReportScrubRequest(
        searched_bytes=done.looked.size, searched_values=done.values, hits=done.found
    )
    spared = timedelta(seconds=SPARED if done.objects.orphans.spared else 0)
    request.begin_time.FromDatetime(done.began - spared)
    request.end_time.FromDatetime(done.ended or _now())
    async with local.channel("privacy") as channel:
        await privacy_pb2_grpc.PrivacyServiceStub(channel).ReportScrub(request, timeout=PATIENCE)


def _named(service: str, values: Sequence[bytes]) -> list[Sought]:
    return [Sought(f"{service} {number}", value) for number, value in enumerate(values, 1)]


def _now() -> datetime:
    return datetime.now(UTC)
