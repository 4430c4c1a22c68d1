"""Statements compiled once give back what was written, as the types that the row class names."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select, text, update
from sqlmodel import col

from chassis.db import Contended, Database, Statement, scalar
from chassis.faults import TextNotStorable
from tests.integration.chassis_data.rows import Mood, Note, Tally, Work

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NOTE = Statement(select(Note).where(col(Note.id) == bindparam("note")), Note)
SAD = Statement(select(Note).where(col(Note.mood) == Mood.SAD).limit(5), Note)
SOME = Statement(select(Note).where(col(Note.id) == any_(bindparam("ids", type_=ARRAY(Uuid)))), Note)
COUNT = Statement(select(func.count()).select_from(Note), scalar)
SOFTEN = Statement(update(Note).where(col(Note.mood) == bindparam("before")).values(mood=bindparam("after")))


def a_note(account: UUID, mood: Mood | None = Mood.GLAD) -> Note:
    words = {"de": "Grüße", "n": [1, 2.5, None, True]}
    return Note(id=uuid4(), account=account, mood=mood, words=words, written=NOW)


async def test_a_row_comes_back_as_it_was_written(db: Database, account: UUID) -> None:
    note = a_note(account)
    await db.insert(note)
    found = await db.one(NOTE, note=note.id)
    assert found.model_dump() == note.model_dump()
    assert isinstance(found, Note)
    assert found.mood is Mood.GLAD
    assert found.written.tzinfo is not None


async def test_a_loaded_row_is_changed_and_written_like_any_other(db: Database, account: UUID) -> None:
    note = a_note(account)
    await db.insert(note)
    async with db.transaction() as tx:
        found = await tx.one(NOTE, note=note.id)
        found.mood = Mood.SAD
        found.words = {**found.words, "more": "words"}
        await tx.update(found)
    again = await db.one(NOTE, note=note.id)
    assert (again.mood, again.words["more"], again.account) == (Mood.SAD, "words", account)


async def test_what_is_null_comes_back_as_none(db: Database, account: UUID) -> None:
    note = a_note(account, mood=None)
    await db.insert(note)
    assert (await db.one(NOTE, note=note.id)).mood is None


async def test_literals_and_lists_are_arguments_too(db: Database, account: UUID) -> None:
    glad, sad = a_note(account), a_note(account, Mood.SAD)
    await db.insert(glad)
    await db.insert(sad)
    assert [note.id for note in await db.all(SAD)] == [sad.id]
    assert {note.id for note in await db.all(SOME, ids=[glad.id, sad.id, uuid4()])} == {glad.id, sad.id}
    assert await db.one(COUNT) == 2
    assert await db.execute(SOFTEN, before=Mood.SAD, after=Mood.GLAD) == 1


async def test_nothing_found_is_none_or_an_empty_list(db: Database) -> None:
    assert await db.first(NOTE, note=uuid4()) is None
    assert await db.all(SAD) == []
    with pytest.raises(LookupError):
        await db.one(NOTE, note=uuid4())


async def test_updating_a_row_that_is_gone_is_noticed(db: Database) -> None:
    with pytest.raises(Contended):
        await db.update(Tally(name="gone", count=1))


@pytest.mark.parametrize("where", ["text", "JSON"])
async def test_a_null_character_is_refused_and_no_fault(db: Database, account: UUID, where: str) -> None:
    note = a_note(account)
    note.words = {"a": "b\0"}
    with pytest.raises(TextNotStorable):
        await db.insert(note if where == "JSON" else Work(id=uuid4(), account=account, title="a\0"))


async def test_defaults_of_the_class_are_written(db: Database, account: UUID) -> None:
    work = Work(id=uuid4(), account=account, title="Untitled")
    await db.insert(work)
    assert await db.one(Statement(text("SELECT likes FROM works"), scalar)) == 0


async def test_a_wrong_argument_is_refused_before_the_database_sees_it(db: Database) -> None:
    with pytest.raises(TypeError, match="takes"):
        await db.first(NOTE, notes=uuid4())
    with pytest.raises(TypeError, match="any_"):
        Statement(select(Note).where(col(Note.id).in_(bindparam("ids", expanding=True))), Note)


async def test_a_literal_list_may_stand_beside_arguments(db: Database, account: UUID) -> None:
    among = select(Note).where(col(Note.mood).in_([Mood.SAD, Mood.GLAD]), col(Note.id) == bindparam("note"))
    note = a_note(account)
    await db.insert(note)
    assert await db.first(Statement(among, Note), note=note.id)
