"""After a scrub nothing in a table tells two works of one person from two works of two people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import Table

from chassis.clock import Clock
from chassis.db import Database
from chassis.migrate import upgrade
from cli.scrub.rewriting import rewrite
from cli.scrub.tables import families
from deploy.local.infra import SERVICES, Infra
from promises.erasing import Erasing, Wanted
from promises.inventory import ANONYMISE
from promises.inventory.checks import subject_of
from services.assets.domain import Row
from tests.integration.scrub.conftest import Sql, database
from tools.migration import folder_of, metadata_of

FAMILY = [
    ("publications", "account IS NULL", "id"),
    *(
        (name, "publication IN (SELECT id FROM publications WHERE account IS NULL)", "publication")
        for name in (
            "publication_counts",
            "publication_renditions",
            "renderings",
            "training_withdrawn",
        )
    ),
]
PUBLISH = """
    INSERT INTO publications (id, account, asset, attribution, kind, content_type, size_bytes, sha256,
      published_on, licence_version, licence_sha256, training_eligible, taken_down)
    VALUES ($1, $2, NULL, 'NAMED', 'TEXT', 'text/plain', 9, 'x', $3, '1', 'y', false, false)
"""


@pytest.fixture
async def assets(infra: Infra) -> AsyncIterator[tuple[Sql, Database]]:
    """A database of assets."""
    async with database(infra) as (url, sql):
        await upgrade(url, folder_of("assets"))
        async with Database.open(url, clock=Clock(), new_id=uuid4, request_key=b"k" * 32, size=(1, 2)) as db:
            yield sql, db


async def publish(sql: Sql, account: UUID, number: int) -> list[UUID]:
    """Somebody's works, one after the other, each with all that hangs on it."""
    await sql.execute("INSERT INTO subjects (account, since) VALUES ($1, now())", account)
    works = [uuid4() for _ in range(number)]
    for work in works:
        async with sql.transaction():
            await sql.execute(PUBLISH, work, account, date(2026, 5, 1))
            await sql.execute("INSERT INTO publication_counts (publication, likes) VALUES ($1, 0)", work)
            await sql.execute("INSERT INTO publication_renditions VALUES ($1, 'poster', 1, 1, 1)", work)
            await sql.execute("INSERT INTO renderings (id, publication, tries) VALUES ($1, $1, 0)", work)
    await sql.execute(
        "INSERT INTO training_withdrawn SELECT id FROM publications WHERE account = $1", account
    )
    return works


async def erase(db: Database, *accounts: UUID) -> None:
    erasing = Erasing(Row.metadata)
    for account in accounts:
        async with db.transaction() as tx:
            await erasing.erase(tx, Wanted(account, uuid4(), datetime.now(UTC)))


async def stamps(sql: Sql, table: str, nobodys: str) -> set[tuple[object, ...]]:
    """What the server itself writes on the rows of nobody's."""
    # The name of the table and the condition are the test's own.
    query = f"SELECT DISTINCT xmin::text, xmax::text, cmin::text, cmax::text FROM {table} WHERE {nobodys}"  # noqa: S608
    return {tuple(record) for record in await sql.fetch(query)}


async def order(sql: Sql, table: str, key: str) -> Sequence[UUID]:
    """The keys of a table in the order in which its rows lie."""
    return [record[0] for record in await sql.fetch(f"SELECT {key} FROM {table} ORDER BY ctid")]  # noqa: S608


@pytest.mark.promise("9-public-anon", "9-delete-or-anon")
async def test_works_of_one_erased_person_are_not_told_from_those_of_others(
    assets: tuple[Sql, Database],
) -> None:
    sql, db = assets
    ada, bob, eve = uuid4(), uuid4(), uuid4()
    for account, number in ((ada, 5), (bob, 4), (eve, 3)):
        await publish(sql, account, number)
    await erase(db, ada, bob)
    before = {table: await stamps(sql, table, nobodys) for table, nobodys, _ in FAMILY}
    assert len(before["publications"]) == 2  # one each: whoever can read xmin knows whose they were
    assert len(before["training_withdrawn"]) == 2
    assert all(len(found) > 1 for found in before.values())

    done = await rewrite(sql, {}, lambda _: None)
    assert not done.unfinished
    assert done.restamped == 9 * len(FAMILY)
    for table, nobodys, key in FAMILY:
        assert len(await stamps(sql, table, nobodys)) == 1, table
        assert await order(sql, table, key) == sorted(await order(sql, table, key)), table


async def test_who_is_erased_later_joins_those_who_were_before(assets: tuple[Sql, Database]) -> None:
    sql, db = assets
    ada, bob = uuid4(), uuid4()
    await publish(sql, ada, 3)
    await publish(sql, bob, 3)
    await erase(db, ada)
    before = (await rewrite(sql, {}, lambda _: None)).signatures
    await erase(db, bob)
    await rewrite(sql, before, lambda _: None)
    for table, nobodys, _ in FAMILY:
        assert len(await stamps(sql, table, nobodys)) == 1, table


def test_what_the_inventory_declares_anonymise_is_what_the_database_sets_null() -> None:
    everywhere = set()
    for service in SERVICES:
        found = metadata_of(service).tables.values()
        declared = {table.name for table in found if _erases(table) is ANONYMISE}
        set_null = {
            table.name
            for table in found
            for key in table.foreign_key_constraints
            if key.name == f"fk_{table.name}_subject" and key.ondelete == "SET NULL"
        }
        assert declared == set_null, service
        everywhere |= declared
    assert everywhere == {"publications"}


def _erases(table: Table) -> object:
    whose = subject_of(table)
    return whose.erase if whose else None


async def test_the_family_is_found_by_its_foreign_keys(assets: tuple[Sql, Database]) -> None:
    sql, _ = assets
    (family,) = await families(sql)
    assert family[0].table == "publications"
    assert {each.table for each in family} == {table for table, _, _ in FAMILY}


async def test_rewriting_changes_nothing_that_was_published(assets: tuple[Sql, Database]) -> None:
    sql, db = assets
    ada = uuid4()
    works = await publish(sql, ada, 3)
    await erase(db, ada)
    query = "SELECT * FROM publications JOIN publication_renditions ON publication = id ORDER BY id"
    before = await sql.fetch(query)
    await rewrite(sql, {}, lambda _: None)
    assert await sql.fetch(query) == before
    assert len(before) == len(works)
    for change in ("UPDATE publication_renditions SET width = 7", "DELETE FROM publication_renditions"):
        with pytest.raises(asyncpg.RestrictViolationError, match="stays as it is"):
            await sql.execute(change)
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute("TRUNCATE publication_renditions")
