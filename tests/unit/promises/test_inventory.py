"""What is not declared does not build, and what contradicts itself is said in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from crafiq.options.v1 import options_pb2
from sqlalchemy import Column, DateTime, Float, ForeignKey, MetaData, Table, Text, Uuid
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from promises.inventory import (
    ACCOUNT,
    ANONYMISE,
    DELETE,
    RETAIN,
    Base,
    Basis,
    Category,
    Declaration,
    Keep,
    Purpose,
    Subject,
    check,
    describe,
    inventory,
    plain,
    subject,
)
from promises.tables import standard

pytestmark = pytest.mark.promise("2-inventory", "8-minimise")
TITLE = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, ANONYMISE)
WORDS = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, DELETE)
LAW = Keep.law("HGB § 257", timedelta(days=3653))
AMOUNT = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.LEGAL_OBLIGATION, LAW, RETAIN)


class Mood(StrEnum):
    """Two."""

    GLAD = "GLAD"
    SAD = "SAD"


def rows() -> Any:
    class Row(Base, registry=inventory("test")):
        """A fresh inventory."""

    standard(Row.metadata)
    return Row


def ddl(kind: Any) -> str:
    return str(CreateTable(kind.__table__).compile(dialect=postgresql.dialect()))


def faults(make: Callable[[Any], Any]) -> list[str]:
    row = rows()
    make(row)
    return check(row.metadata)


def test_the_standard_tables_are_declared_without_fault() -> None:
    assert check(rows().metadata) == []


def test_what_is_deleted_gets_a_cascading_key() -> None:
    class Note(rows(), table=True):
        id: UUID = plain("random", primary_key=True)
        account: UUID = subject(DELETE)
        words: str = WORDS.column()

    assert (
        "CONSTRAINT fk_note_subject FOREIGN KEY(account) REFERENCES subjects (account) ON DELETE CASCADE"
        in ddl(Note)
    )
    assert check(Note.metadata) == []


@pytest.mark.promise("9-public-anon")
def test_what_is_anonymised_gets_a_key_that_lets_go_and_a_check_that_keeps_out() -> None:
    class Work(rows(), table=True):
        id: UUID = plain("random", primary_key=True)
        account: UUID | None = subject(ANONYMISE)
        title: str | None = TITLE.column()
        alt: str | None = TITLE.column()

    sql = ddl(Work)
    assert "fk_work_subject FOREIGN KEY(account) REFERENCES subjects (account) ON DELETE SET NULL" in sql
    assert "ck_work_anonymous CHECK (account IS NOT NULL OR (title IS NULL AND alt IS NULL))" in sql
    assert check(Work.metadata) == []


def test_enums_are_text_with_a_check() -> None:
    class Note(rows(), table=True):
        id: UUID = plain("random", primary_key=True)
        mood: Mood | None = plain("one of two", Text)

    assert "mood TEXT" in ddl(Note)
    assert "CONSTRAINT ck_note_mood CHECK (mood IN ('GLAD', 'SAD'))" in ddl(Note)


def test_an_enum_without_a_type_does_not_build() -> None:
    with pytest.raises(TypeError, match="enums are text"):

        class Note(rows(), table=True):
            id: UUID = plain("random", primary_key=True)
            mood: Mood = plain("one of two")


def test_an_account_can_be_the_subject_itself() -> None:
    class Row(Base, registry=inventory("test", subjects="accounts.id")):
        """As in identity."""

    standard(Row.metadata)

    class Account(Row, table=True):
        __tablename__ = "accounts"
        id: UUID = plain("accounts/{uuid}", primary_key=True)
        name: str = WORDS.column()

    class Session(Row, table=True):
        __tablename__ = "sessions"
        id: UUID = plain("random", primary_key=True)
        account: UUID = subject(DELETE)

    assert "REFERENCES accounts (id) ON DELETE CASCADE" in ddl(Session)
    assert "subjects" not in Row.metadata.tables
    assert check(Row.metadata) == []


def _table(row: Any, *columns: Column[Any]) -> None:
    key = Column("id", Uuid, primary_key=True, info={"declaration": plain_info()})
    Table("things", row.metadata, key, *columns)


def plain_info() -> Any:
    return describe_of(plain("random"))


def describe_of(field: Any) -> Any:
    [found] = [m.sa_column_kwargs for m in field.metadata]
    return found["info"]["declaration"]


def _column(name: str, declaration: Any, kind: Any = Text, **options: Any) -> Column[Any]:
    info = {} if declaration is None else {"declaration": declaration}
    return Column(name, kind, info=info, **options)


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ([("x", None)], "things.x is not declared"),
        ([("x", WORDS)], "things.x is personal, and the table has no subject"),
        ([("account", Subject(DELETE)), ("x", TITLE)], "ANONYMISE in a table that is deleted"),
        ([("account", Subject(ANONYMISE)), ("x", WORDS)], "the row outlives its person"),
        ([("account", Subject(ANONYMISE)), ("x", TITLE)], "has no CHECK ck_things_anonymous"),
        ([("account", Subject(RETAIN))], "what is retained is copied elsewhere"),
        ([("account", Subject(DELETE)), ("x", AMOUNT)], "retained_things.x does not exist"),
        ([("x", AMOUNT)], "such a table is named retained_<table>"),
    ],
)
def test_contradictions_are_found(columns: list[tuple[str, Any]], fault: str) -> None:
    def make(row: Any) -> None:
        _table(row, *(_column(n, d, Uuid if n == "account" else Text) for n, d in columns))

    assert any(fault in found for found in faults(make)), faults(make)


def test_an_owner_that_cannot_be_nulled_or_found_is_a_fault() -> None:
    def make(row: Any) -> None:
        _table(row, _column("account", Subject(ANONYMISE), Uuid, nullable=False))

    assert any("can't be set null" in fault for fault in faults(make))
    assert any("no index begins with account" in fault for fault in faults(make))


def test_an_anonymised_column_that_must_have_a_value_is_a_fault() -> None:
    def make(row: Any) -> None:
        _table(
            row,
            _column("account", Subject(ANONYMISE), Uuid, index=True),
            _column("title", TITLE, nullable=False),
        )

    assert any("things.title: the row outlives its person" in fault for fault in faults(make))


def test_a_retained_table_has_an_end() -> None:
    def keep(row: Any, rule: Keep, *, ends: bool = True) -> None:
        end = Declaration(Category.PAYMENT, Purpose.PAYMENT, Basis.LEGAL_OBLIGATION, rule, RETAIN)
        key = Column("pseudonym", Uuid, primary_key=True, info={"declaration": plain_info()})
        until = [_column("until", plain_info())] if ends else []
        Table("retained_things", row.metadata, key, _column("amount", end), *until)

    assert faults(lambda row: keep(row, LAW)) == []
    assert any("for ever" in fault for fault in faults(lambda row: keep(row, ACCOUNT)))
    assert any("has no `until`" in fault for fault in faults(lambda row: keep(row, LAW, ends=False)))


def test_what_is_retained_says_why_and_ends_once() -> None:
    def make(row: Any, *ways: Declaration) -> None:
        for table in ("things", "retained_things"):
            key = Column("id", Uuid, primary_key=True, info={"declaration": plain_info()})
            owner = [_column("account", Subject(DELETE), Uuid, index=True)] if table == "things" else []
            columns = [_column(f"c{number}", way) for number, way in enumerate(ways)]
            Table(table, row.metadata, key, *owner, *columns, _column("until", plain_info()))

    why = replace(AMOUNT, afterwards=LAW)
    other = replace(AMOUNT, afterwards=Keep.days(5))
    assert faults(lambda row: make(row, why)) == []
    assert any("say `afterwards`" in fault for fault in faults(lambda row: make(row, AMOUNT)))
    assert any("until two dates" in fault for fault in faults(lambda row: make(row, why, other)))


def test_a_key_that_would_stop_an_erasure_is_a_fault() -> None:
    def make(row: Any, rule: str | None) -> None:
        class Note(row, table=True):
            __tablename__ = "notes"
            id: UUID = plain("random", primary_key=True)
            account: UUID = subject(DELETE)

        _table(row, Column("note", ForeignKey("notes.id", ondelete=rule), info={"declaration": plain_info()}))

    assert any("would stop an erasure" in fault for fault in faults(lambda row: make(row, None)))
    assert faults(lambda row: make(row, "CASCADE")) == []


@pytest.mark.parametrize("kind", [Float, DateTime, postgresql.JSON])
def test_types_are_few(kind: Any) -> None:
    def make(row: Any) -> None:
        _table(row, _column("x", plain_info(), kind))

    assert any("not one of ours" in fault for fault in faults(make))


@pytest.mark.promise("3-operate")
def test_the_inventory_can_be_told() -> None:
    class Note(rows(), table=True):
        id: UUID = plain("a random name", primary_key=True)
        account: UUID = subject(DELETE)
        words: str = WORDS.column()

    [told] = [table for table in describe(Note.metadata) if table["table"] == "note"]
    assert told["erase"] == "DELETE"
    assert told["columns"] == [
        {"column": "id", "personal": False, "why": "a random name"},
        {"column": "account", "personal": True, "why": "whose row it is", "erase": "DELETE"},
        {
            "column": "words",
            "personal": True,
            "category": "CONTENT",
            "purpose": "STORAGE",
            "basis": "6(1)(b)",
            "keep": "while the account lives",
            "erase": "DELETE",
        },
    ]


def test_categories_and_purposes_are_those_of_the_protos() -> None:
    def names(enum: Any, prefix: str) -> set[str]:
        return {name.removeprefix(prefix) for name in enum.keys()} - {"UNSPECIFIED", "OPERATION"}  # noqa: SIM118  # not a dict

    assert names(options_pb2.Category, "CATEGORY_") <= {str(c) for c in Category}
    assert names(options_pb2.Purpose, "PURPOSE_") == {str(p) for p in Purpose}


def test_metadata_of_one_service_is_its_own() -> None:
    assert isinstance(rows().metadata, MetaData)
    assert rows().metadata is not rows().metadata
