"""What has to be true when everything is up again, whatever was killed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
from minio import Minio

from services.assets.domain.shelves import shelf_of
from tests.chaos import questions as ask
from tests.chaos.patience import Patient
from tests.chaos.people import Work
from tests.chaos.plan import SERVICES
from tests.running import Running

KEPT = {"tombstones", "inbox", "erasure_cases"}
"""Tables in which an account's number stands after the receipt: it says nothing any more."""


class Audit:
    """Looks into everything that a platform stores, as its operator could."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """A service's database, as its administrator."""
        dsn = self._running.endpoints["postgres"].replace("/postgres?", f"/{service}?")
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            yield connection
        finally:
            await connection.close()

    async def found(self, service: str, *questions: str) -> list[str]:
        """What the questions find, which should be nothing."""
        async with self.database(service) as sql:
            return [f"{service}: {row[0]}" for question in questions for row in await sql.fetch(question)]

    async def unfinished(self) -> list[str]:
        """What is still under way anywhere: cases, erasures, events that wait, jobs, holds."""
        under_way = [each for name in SERVICES for each in await self.found(name, ask.UNDER_WAY, ask.UNSENT)]
        return [
            *under_way,
            *await self.found("privacy", ask.OPEN_CASES),
            *await self.found("generation", ask.JOBS),
            *await self.found("billing", ask.HELD),
        ]

    async def wrong(self) -> list[str]:
        """What must never be: dead letters, books that don't balance, two ends, settlements or effects."""
        dead = [each for name in SERVICES for each in await self.found(name, ask.DEAD)]
        return [
            *dead,
            *await self.found(
                "billing", ask.UNBALANCED, ask.NOT_ZERO, ask.LOTS, ask.WELCOMED_TWICE, ask.SETTLEMENTS
            ),
            *await self.found("generation", ask.ENDINGS),
            *await self.found("privacy", ask.ACCEPTED_TWICE),
            *await self._prices(),
        ]

    async def _prices(self) -> list[str]:
        """A job's price and what was taken for it are the same, for each job of anybody, erased or not."""
        async with self.database("generation") as sql:
            prices = {row["id"]: row["charged_credits"] for row in await sql.fetch(ask.PRICES)}
        async with self.database("billing") as sql:
            captured = {row["generation"]: row["captured"] for row in await sql.fetch(ask.CAPTURED)}
        return [
            f"generations/{name} costs {price}, {captured.get(name)} was taken"
            for name, price in prices.items()
            if captured.get(name) != price
        ]

    async def places(self, *values: str) -> list[str]:
        """Tables of any database in which one of these values stands, in text or in bytes."""
        spelled = [spelling for value in values for spelling in (value, value.encode().hex())]
        return [place for name in SERVICES for place in await self._places(name, spelled)]

    async def _places(self, service: str, spelled: Sequence[str]) -> list[str]:
        places = []
        async with self.database(service) as sql:
            tables = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for table in (row["tablename"] for row in tables):
                here = (
                    "SELECT value FROM unnest($1::text[]) AS value"  # noqa: S608  # names from the catalogue
                    f' WHERE EXISTS (SELECT FROM "{table}" AS t WHERE position(value IN t::text) > 0)'
                )
                places += [f"{service}.{table}: {row['value']}" for row in await sql.fetch(here, spelled)]
        return places

    async def of_account(self, account: str) -> list[str]:
        """Where an account's number stands, but for the tables that keep it on purpose."""
        plain = [account, account.replace("-", "")]
        places = await self.places(*plain)
        return [each for each in places if each.partition(":")[0].partition(".")[2] not in KEPT]

    def objects(self) -> dict[str, list[str]]:
        """The keys in each of the buckets of assets."""
        keys = self._running.state / "secrets" / "assets"
        access, secret = ((keys / f"crafiq_s3_{name}_key").read_text() for name in ("access", "secret"))
        client = Minio(self._running.endpoints["s3"].removeprefix("http://"), access, secret, secure=False)
        buckets = ("crafiq-library", "crafiq-quarantine", "crafiq-public")
        return {
            bucket: [str(each.object_name) for each in client.list_objects(bucket, recursive=True)]
            for bucket in buckets
        }

    def on_shelf(self, account: str) -> list[str]:
        """What storage has of a person that is not public."""
        shelf = shelf_of(UUID(account))
        return [
            f"{bucket}/{key}"
            for bucket, keys in self.objects().items()
            for key in keys
            if bucket != "crafiq-public" and key.startswith(f"{shelf}/")
        ]


async def lost(api: Patient, works: Iterable[Work], *, name_of: str) -> list[str]:
    """Public works that are not there any more, not the same, or that name somebody else than `name_of`."""
    faults = []
    for work in works:
        shown = await api.get(f"/v1/{work.name}")
        if hashlib.sha256(await api.fetch(work.url)).hexdigest() != work.sha256:
            faults.append(f"{work.name} has other bytes")
        if work.url not in [each["url"] for each in shown["renditions"]]:
            faults.append(f"{work.name} is not at {work.url} any more")
        if shown["username"] != name_of:
            faults.append(f"{work.name} names {shown['username']!r}")
    return faults


def mentions(state: Path, *values: str) -> list[str]:
    """Logs and traces in which one of these values stands."""
    files = [p for folder in ("logs", "traces") for p in (state / folder).rglob("*") if p.is_file()]
    return [
        f"{file.name}: {value}" for file in files for value in values if value.encode() in file.read_bytes()
    ]
