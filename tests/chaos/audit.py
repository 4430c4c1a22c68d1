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
from tests.chaos.patience import Patient
from tests.chaos.people import Work
from tests.chaos.plan import SERVICES
from tests.running import Running

KEPT = {"tombstones", "inbox", "erasure_cases"}
"""Tables in which an account's number stands after the receipt: it says nothing any more."""
OPEN_CASES = "SELECT id::text || ' is ' || state FROM erasure_cases WHERE state IN ('APPROVED', 'ERASING')"
UNDER_WAY = "SELECT account::text || ' ' || cause FROM erasures"
UNSENT = "SELECT subject FROM outbox"
DEAD = "SELECT subject || ': ' || reason FROM dead_letters"
UNBALANCED = "SELECT account || ' has ' || balance || ', got ' || transferred FROM trial_balance WHERE balance <> transferred"
NOT_ZERO = "SELECT 'all accounts together have ' || sum(balance) FROM trial_balance HAVING sum(balance) <> 0"
LOTS = """
SELECT lot::text || ' does not follow from its transfers' FROM lots
LEFT JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN credit = 'AVAILABLE' THEN amount WHEN debit = 'AVAILABLE' THEN -amount END), 0) AS available,
        coalesce(sum(CASE WHEN credit = 'HELD' THEN amount WHEN debit = 'HELD' THEN -amount END), 0) AS held,
        coalesce(sum(CASE WHEN credit = 'SETTLED' THEN amount END), 0) AS settled
    FROM transfers WHERE transfers.lot = lots.lot
) AS moved ON true
WHERE (lots.available, lots.held, lots.settled) IS DISTINCT FROM (moved.available, moved.held, moved.settled)
"""
TWICE_WELCOME = "SELECT book::text || ' was welcomed twice' FROM transfers WHERE kind = 'GRANT' GROUP BY book HAVING count(*) > 1"
HELD = "SELECT generation::text || ' is held' FROM holds WHERE state = 'HELD'"
SETTLEMENTS = """
SELECT generation::text || ': ' || state || ', captured ' || captured || ' of ' || credits || ', settled in '
    || endings || ' transactions' FROM holds
JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE kind = 'HOLD'), 0) AS placed,
        coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0) AS taken,
        coalesce(sum(amount) FILTER (WHERE kind = 'RELEASE'), 0) AS given_back,
        count(DISTINCT transaction) FILTER (WHERE kind <> 'HOLD') AS endings
    FROM transfers WHERE transfers.generation = holds.generation
) AS moved ON true
WHERE state <> 'HELD' AND credits > 0
    AND (placed, taken, given_back, endings) IS DISTINCT FROM (credits, captured, credits - captured, 1::bigint)
"""
JOBS = "SELECT id::text || ' is ' || state FROM jobs WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')"
ENDINGS = """
SELECT generation::text || ' ended ' || count(*) || ' times' FROM transitions
WHERE state IN ('SUCCEEDED', 'FAILED', 'CANCELLED') GROUP BY generation HAVING count(*) <> 1
"""
PRICES = "SELECT id, charged_credits FROM outcomes"
CAPTURED = "SELECT generation, captured FROM holds WHERE state <> 'HELD'"
ACCEPTED_TWICE = (
    "SELECT account::text || ' accepted twice' FROM acceptances GROUP BY account HAVING count(*) > 1"
)
STRANGERS = """
SELECT a.id::text || ' is not of whom its generation names' FROM assets a WHERE a.generation IS NOT NULL
    AND NOT EXISTS (SELECT FROM subjects WHERE subjects.account = a.account)
"""


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
        under_way = [each for name in SERVICES for each in await self.found(name, UNDER_WAY, UNSENT)]
        return [
            *under_way,
            *await self.found("privacy", OPEN_CASES),
            *await self.found("generation", JOBS),
            *await self.found("billing", HELD),
        ]

    async def wrong(self) -> list[str]:
        """What must never be: dead letters, books that don't balance, two ends, two settlements, two effects."""
        dead = [each for name in SERVICES for each in await self.found(name, DEAD)]
        return [
            *dead,
            *await self.found("billing", UNBALANCED, NOT_ZERO, LOTS, TWICE_WELCOME, SETTLEMENTS),
            *await self.found("generation", ENDINGS),
            *await self.found("privacy", ACCEPTED_TWICE),
            *await self._prices(),
        ]

    async def _prices(self) -> list[str]:
        """A job's price and what was taken for it are the same, for each job of anybody, erased or not."""
        async with self.database("generation") as sql:
            prices = {row["id"]: row["charged_credits"] for row in await sql.fetch(PRICES)}
        async with self.database("billing") as sql:
            captured = {row["generation"]: row["captured"] for row in await sql.fetch(CAPTURED)}
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
