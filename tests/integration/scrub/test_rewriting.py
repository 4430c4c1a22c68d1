"""What PostgreSQL leaves behind of a deleted value, and that a scrub leaves none of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from cli.scrub.rewriting import forget_wal
from cli.scrub.tables import SMALL, Nobodys, Table, tables, to_rewrite
from cli.search import Needles, Sought
from deploy.local.infra import Infra
from tests.integration.scrub.conftest import Scrub, Sql, lying_in

SCHEMA = """
    CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), words text, about jsonb, file bytea);
    CREATE UNIQUE INDEX ON notes (words);
    CREATE INDEX ON notes (lower(words)) WHERE words LIKE 'secret%';
    CREATE INDEX ON notes USING gin (about);
    CREATE INDEX ON notes USING gin (to_tsvector('simple', words));
    CREATE TABLE moods (mood text);
"""


@pytest.mark.promise("9-delete-now", "8-minimise")
async def test_a_deleted_value_survives_vacuum_and_analyze_and_no_scrub(
    infra: Infra, sql: Sql, scrubbed: Scrub
) -> None:
    common, words, inside = (f"secret{secrets.token_hex(8)}" for _ in range(3))
    long = f"secret{secrets.token_hex(8)}{os.urandom(20_000).hex()}"
    await sql.execute(SCHEMA)
    others = [(f"words {n}", f'{{"of": "somebody {n}"}}') for n in range(300)]
    await sql.executemany("INSERT INTO notes (words, about) VALUES ($1, $2)", others)
    # Often enough to be among the column's most common values.
    await sql.executemany(
        "INSERT INTO moods VALUES ($1)", [(common,) if n % 3 else (f"m{n}",) for n in range(300)]
    )
    insert = "INSERT INTO notes (words, about, file) VALUES ($1, jsonb_build_object('in', $2::text), $3)"
    await sql.execute(insert, words, inside, long.encode())
    await sql.execute("ANALYZE")
    await sql.execute("DELETE FROM moods WHERE mood LIKE 'secret%'")
    await sql.execute("DELETE FROM notes WHERE words LIKE 'secret%'")
    await sql.execute("VACUUM (ANALYZE) notes")
    await sql.execute("VACUUM (ANALYZE) moods")
    await sql.execute("CHECKPOINT")
    assert lying_in(infra, words) == lying_in(infra, common) == lying_in(infra, inside) == {"base", "pg_wal"}
    assert lying_in(infra, long) == {"pg_wal"}

    done = await scrubbed()
    await forget_wal(sql)
    assert not done.unfinished
    assert done.tables == done.looked_at == 2
    for value in (words, common, inside, long, long[:60]):
        assert not lying_in(infra, value)


async def test_what_never_was_committed_is_gone_too(infra: Infra, sql: Sql, scrubbed: Scrub) -> None:
    words = f"secret{secrets.token_hex(8)}"
    await sql.execute("CREATE TABLE notes (words text)")
    changed = sql.transaction()
    await changed.start()
    await sql.execute("INSERT INTO notes VALUES ($1)", words)
    await changed.rollback()
    await sql.execute("CHECKPOINT")
    assert lying_in(infra, words) == {"base", "pg_wal"}
    await scrubbed()
    await forget_wal(sql)
    assert not lying_in(infra, words)


async def test_rows_that_somebody_may_still_see_are_waited_for_and_told(
    infra: Infra, sql: Sql, another: Sql, scrubbed: Scrub, impatient: None
) -> None:
    await sql.execute("CREATE TABLE notes (words text); INSERT INTO notes VALUES ('one'), ('two')")
    seeing = another.transaction(isolation="repeatable_read")
    await seeing.start()
    assert len(await another.fetch("SELECT * FROM notes")) == 2
    await sql.execute("CREATE TABLE other (words text)")
    await sql.execute("DELETE FROM notes WHERE words = 'one'")
    assert (await scrubbed()).unfinished == ["notes"]
    await seeing.rollback()
    assert not (await scrubbed()).unfinished


async def test_nobody_waits_long_behind_a_scrub_that_waits(
    sql: Sql, another: Sql, scrubbed: Scrub, impatient: None
) -> None:
    await sql.execute("CREATE TABLE notes (words text); INSERT INTO notes VALUES ('one')")
    writing = another.transaction()
    await writing.start()
    await another.execute("UPDATE notes SET words = 'two'")
    done = await scrubbed()
    assert done.unfinished == ["notes"]
    assert "notes" not in done.signatures
    await writing.commit()
    assert not (await scrubbed()).unfinished
    assert [row["words"] for row in await sql.fetch("SELECT words FROM notes")] == ["two"]


def table(name: str = "notes", **more: int) -> Table:
    given = {"size": SMALL + 1, "inserted": 9, "changed": 5, "dead": 0, "vacuumed": 1, **more}
    return Table(name=name, key="notes_pkey", **given)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (table(), False),
        (table(inserted=10), False),
        (table(size=SMALL), True),
        (table(changed=6), True),
        (table(changed=0), True),  # counters begin anew after a crash
        (table(vacuumed=2), True),
        (table(dead=1), True),
    ],
)
def test_large_tables_are_rewritten_if_something_happened_in_them(found: Table, wanted: bool) -> None:
    assert to_rewrite([found], [], {"notes": table().signature}) == ({"notes"} if wanted else set())


def test_a_table_that_was_never_looked_at_is_rewritten() -> None:
    assert to_rewrite([table()], [], {}) == {"notes"}


def test_what_hangs_together_is_rewritten_together() -> None:
    family = [Nobodys("works", "account", "true"), Nobodys("counts", "work", "true")]
    before = {"works": table("works").signature, "counts": table("counts").signature}
    untouched = [table("works"), table("counts")]
    assert not to_rewrite(untouched, [family], before)
    for changed in (table("works", changed=6), table("works", inserted=10)):
        assert to_rewrite([changed, table("counts")], [family], before) == {"works", "counts"}


async def test_changes_are_counted(sql: Sql) -> None:
    await sql.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    (found,) = await tables(sql)
    assert (found.name, found.key) == ("notes", "notes_pkey")
    assert found.size <= SMALL


def test_temporary_files_that_go_meanwhile_are_no_fault(tmp_path: Path) -> None:
    assert Needles([Sought("it", b"anything at all")]).in_file(tmp_path / "gone", "gone") == (0, [])
