"""The database itself refuses to change what is public: every column of it, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Table

from services.assets.domain.publications import Publication
from services.assets.domain.renditions import PublicRendition
from services.assets.jobs import Artist
from tests.integration.assets.test_publishing import anonymised, own, published, refusal, shown
from tests.integration.assets.test_renditions import Quick, artist, artist_with
from tests.integration.assets.world import Person, World
from tests.unit.assets import makers

__all__ = ["artist"]

ANOTHER = {
    UUID: "gen_random_uuid()", str: "COALESCE({0}, '') || 'x'", int: "COALESCE({0}, 0) + 1", date: "{0} - 1",
    bool: "NOT {0}",
}  # fmt: skip
"""Another value than a column has, by what it is in Python."""
LETS_GO = {"account", "asset", "attribution"}
"""What the owner takes back: these become NULL, and stay so."""
TAKEN_DOWN = {"taken_down"}
"""A decision about the work: it becomes true, and stays so."""
PUBLICATIONS: Table = Publication.metadata.tables["publications"]
RENDITIONS: Table = PublicRendition.metadata.tables["publication_renditions"]

pytestmark = [pytest.mark.promise("5-public-irreversible", "5-public-permanent")]


def changes(table: Table) -> Iterator[str]:
    """What nobody may do to a row that stands: each column another value, each column none."""
    for column in table.columns:
        if column.name not in TAKEN_DOWN:
            yield f"{column.name} = {ANOTHER[column.type.python_type].format(column.name)}"
        if column.name not in LETS_GO:
            yield f"{column.name} = NULL"


async def not_refused(world: World, table: Table, key: UUID, *wanted: str, **given: Any) -> list[str]:
    """Those of `wanted` that the database lets happen to the rows of a publication."""
    named = "id" if table is PUBLICATIONS else "publication"
    happened = []
    for change in wanted:
        statement = f"UPDATE {table.name} SET {change} WHERE {named} = $1"  # noqa: S608  # our own names
        try:
            await world.sql(statement, key, *given.values())
        except asyncpg.RestrictViolationError as refused:
            assert "stays as it is" in str(refused)  # noqa: PT017  # others are let through
        else:
            happened.append(change)
    return happened


async def test_no_column_of_a_publication_changes(ada: Person, world: World) -> None:
    publication = await published(ada, (await ada.upload(makers.png(), "image/png")).name)
    key = own(publication.name)
    (before,) = await world.sql("SELECT * FROM publications WHERE id = $1", key)
    # What is NULL already can't become so; such a column would be left out below.
    assert None not in before.values()
    together = "attribution = NULL, asset = NULL, sha256 = 'x'"
    assert await not_refused(world, PUBLICATIONS, key, *changes(PUBLICATIONS), together) == []
    one = "DELETE FROM publications WHERE id = $1"
    for forgets, given in ((one, [key]), ("TRUNCATE publications CASCADE", [])):
        with pytest.raises(asyncpg.RestrictViolationError, match="stays as it is"):
            await world.sql(forgets, *given)
    assert (await world.sql("SELECT * FROM publications WHERE id = $1", key)) == [before]


async def test_what_was_let_go_of_and_what_was_taken_down_does_not_come_back(
    ada: Person, world: World
) -> None:
    publication = await published(ada, (await ada.upload(makers.png(), "image/png")).name)
    key = own(publication.name)
    (before,) = await world.sql("SELECT * FROM publications WHERE id = $1", key)
    await anonymised(ada, publication.name)
    (after,) = await world.sql("SELECT * FROM publications WHERE id = $1", key)
    assert {name for name in before.keys() if before[name] != after[name]} == LETS_GO  # noqa: SIM118
    for column in LETS_GO:
        assert await not_refused(world, PUBLICATIONS, key, f"{column} = $2", value=before[column]) == []
    assert await not_refused(world, PUBLICATIONS, key, *changes(PUBLICATIONS)) == []
    await world.sql("UPDATE publications SET taken_down = TRUE WHERE id = $1", key)
    assert await not_refused(world, PUBLICATIONS, key, "taken_down = FALSE", *changes(PUBLICATIONS)) == []
    assert await refusal(shown(world, publication.name)) == "PUBLICATION_NOT_FOUND"


async def test_no_column_of_a_public_rendition_changes(ada: Person, world: World, artist: Artist) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    assert await artist_with(world, Quick()).draw_one()
    key = own((await published(ada, asset.name)).name)
    before = await world.sql("SELECT * FROM publication_renditions WHERE publication = $1", key)
    assert before
    assert await not_refused(world, RENDITIONS, key, *changes(RENDITIONS)) == []
    one = "DELETE FROM publication_renditions WHERE publication = $1"
    for forgets, given in ((one, [key]), ("TRUNCATE publication_renditions", [])):
        with pytest.raises(asyncpg.RestrictViolationError, match="stays as it is"):
            await world.sql(forgets, *given)
    assert await world.sql("SELECT * FROM publication_renditions WHERE publication = $1", key) == before
