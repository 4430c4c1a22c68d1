"""All that remains of somebody who left, in any table of any database, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from deploy.local.infra import SERVICES
from tests.running import Running
from tests.support import eventually

Rows = dict[tuple[str, str], set[str]]
"""The keys of all rows, by service and table."""
_KEYS = """
SELECT c.relname AS table, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS key
FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY c.relname
"""


STAYS = "NULL::timestamptz"
STILL = 4
"""How many times in a row nothing must have moved, every half a second."""


@dataclass(frozen=True)
class Kept:
    """What remains in a table: how many rows, and when the last of them ends at the latest.

    `rows`: None for as many as there were messages. `ends` is SQL, null for what stays because it is about
    nobody; `within` is how long that may be.
    """

    rows: int | None
    ends: str = STAYS
    within: str = "0 days"


BOOKS = "11 years"  # ten whole ones after this
WITH_BOOK = "(SELECT c.until FROM closed_books c WHERE c.book = {}.book)"
PEPPER = "184 days"  # six months from the first of this one
FENCE = "claimed + CASE WHEN key LIKE 'verified:%' THEN interval '35 days' ELSE interval '14 days' END"
KEPT: dict[tuple[str, str], Kept] = {
    **{(service, "tombstones"): Kept(1, "erased_at + interval '35 days'", "35 days") for service in SERVICES},
    **{(service, "inbox"): Kept(None, FENCE, "35 days") for service in SERVICES},
    ("identity", "retained_names"): Kept(2, "until", PEPPER),
    ("identity", "retained_security_log"): Kept(4, "until", PEPPER),
    # Keyed hashes, which their ends say nothing of.
    ("identity", "sign_up_requests"): Kept(1, "create_time + interval '1 day'", "1 day"),
    ("identity", "throttles"): Kept(2, "GREATEST(until, since + interval '1 hour')", "1 day"),
    # The receipt: of a case, its holders, and what the ledger of consents commits to without its salts.
    ("privacy", "erasure_cases"): Kept(1),
    ("privacy", "erasure_holders"): Kept(5),
    ("privacy", "commitments"): Kept(1),
    # One public work, as nobody's, and what somebody else thinks of it.
    ("assets", "publications"): Kept(1),
    ("assets", "publication_counts"): Kept(1),
    ("assets", "publication_renditions"): Kept(2),
    ("assets", "renderings"): Kept(1),
    ("assets", "likes"): Kept(1),
    # What was granted, held and captured, in a book of nobody that has a date; and what the job came to.
    ("billing", "closed_books"): Kept(1, "until", BOOKS),
    ("billing", "lots"): Kept(1, WITH_BOOK.format("lots"), BOOKS),
    ("billing", "holds"): Kept(1, WITH_BOOK.format("holds"), BOOKS),
    ("billing", "transfers"): Kept(3, WITH_BOOK.format("transfers"), BOOKS),
    ("generation", "outcomes"): Kept(1, "day + interval '30 days'", "30 days"),
    # What a vendor has, until its own clock ends it.
    ("generation", "vendor_copies"): Kept(1, "expire_time", "30 days"),
}


async def rows_of(platform: Running) -> Rows:
    """Every row of every table of all databases, by its key."""
    found: Rows = {}
    for service in SERVICES:
        sql = await asyncpg.connect(database_of(platform, service))
        for table, key in await sql.fetch(_KEYS):
            rows = await sql.fetch(f"SELECT ROW({key})::text FROM {table}")  # noqa: S608  # names of our own
            found[service, table] = {row[0] for row in rows}
        await sql.close()
    return found


async def at_rest(platform: Running) -> Rows:
    """Every row, once nothing moves any more: what others began has ended, or waits for good."""
    sql = await asyncpg.connect(database_of(platform, "assets"))
    # What came first is drawn last, which may take long after all tests before; who is at it keeps nothing.
    await sql.execute("UPDATE renderings SET due = NULL WHERE due IS NOT NULL")
    await sql.close()
    seen = [await rows_of(platform)]

    async def nothing_moved() -> bool:
        seen.append(await rows_of(platform))
        return all(each == seen[-1] for each in seen[-STILL:]) and len(seen) >= STILL

    await eventually(nothing_moved, timeout=60, every=0.5)
    return seen[-1]


async def only_this_remains(platform: Running, before: Rows) -> bool:
    """Whether what is new since `before` is what is KEPT, each with its date; raises AssertionError else."""
    now = await rows_of(platform)
    new = {place: rows - before[place] for place, rows in now.items() if rows - before[place]}
    counted = {place: len(rows) for place, rows in new.items()}
    expected = {place: kept.rows or counted.get(place) for place, kept in KEPT.items()}
    if counted != expected:
        raise AssertionError(f"{counted.items() - expected.items()} for {expected.items() - counted.items()}")
    for service in SERVICES:
        sql = await asyncpg.connect(database_of(platform, service))
        for table, key in await sql.fetch(_KEYS):
            if (service, table) in KEPT:
                kept = KEPT[service, table]
                which = f"FROM {table} WHERE ROW({key})::text = ANY ($1)"
                late = f"COALESCE({kept.ends}, now()) NOT BETWEEN now() AND now() + interval '{kept.within}'"
                found = await sql.fetchval(f"SELECT count(*) {which} AND {late}", list(new[service, table]))
                assert found == 0, f"{found} rows of {service}.{table} end later than {kept.within} from now"
        await sql.close()
    return True


def database_of(platform: Running, service: str) -> str:
    """How to reach a service's database as its administrator."""
    return str(platform.endpoints["postgres"]).replace("/postgres?", f"/{service}?")
