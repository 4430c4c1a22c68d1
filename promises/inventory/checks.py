"""What contradicts itself in an inventory; and the inventory as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from promises.inventory.declarations import ANONYMISE, DELETE, RETAIN, Declaration, Plain, Subject, declared

TYPES = (Uuid, Text, BigInteger, Integer, Boolean, DateTime, Date, JSONB, LargeBinary)
RETAINED = "retained_"
UNTIL = "until"
"""The column of a retained row that says when it ends."""


def check(metadata: MetaData) -> list[str]:
    """What is undeclared or contradicts itself, a sentence each; empty is good."""
    return [fault for table in metadata.sorted_tables for fault in _faults(table)]


def _faults(table: Table) -> Iterator[str]:
    for column in table.columns:
        if declared(column) is None:
            yield f"{table.name}.{column.name} is not declared: say what it holds, or that it is plain."
        if not isinstance(column.type, TYPES) or getattr(column.type, "timezone", True) is False:
            yield f"{table.name}.{column.name} has the type {column.type!r}, which is not one of ours."
    for constraint in table.foreign_key_constraints:
        if _goes(constraint.referred_table) and constraint.ondelete not in ("CASCADE", "SET NULL"):
            yield f"{table.name}: its foreign key to {constraint.referred_table.name} would stop an erasure."
    whose = subject_of(table)
    personal = {c.name: d for c in table.columns if isinstance(d := declared(c), Declaration)}
    if whose is not None:
        yield from _owned(table, whose)
    if _goes(table):
        yield from _deleted(table, personal)
    elif whose is not None:
        yield from _anonymised(table, personal)
    else:
        yield from _ownerless(table, personal)


def _owned(table: Table, whose: Subject) -> Iterator[str]:
    column = next(c for c in table.columns if isinstance(declared(c), Subject))
    keys = [table.primary_key, *(c for c in table.constraints if isinstance(c, UniqueConstraint))]
    led = [list(index.columns)[:1] for index in table.indexes] + [list(key.columns)[:1] for key in keys]
    if [column] not in led:
        yield f"{table.name}: no index begins with {column.name}, so erasing reads the whole table."
    if whose.erase is RETAIN:
        yield f"{table.name}: rows end with their person; what is retained is copied elsewhere."
    if whose.erase is ANONYMISE and not column.nullable:
        yield f"{table.name}.{column.name} can't be set null: say UUID | None."


def _deleted(table: Table, personal: dict[str, Declaration]) -> Iterator[str]:
    retained = table.metadata.tables.get(RETAINED + table.name)
    kept = set() if retained is None else set(retained.columns.keys())
    for name, declaration in personal.items():
        if declaration.erase is ANONYMISE:
            yield f"{table.name}.{name} is declared ANONYMISE in a table that is deleted with its person."
        if declaration.erase is RETAIN and name not in kept:
            yield f"{table.name}.{name} is to be retained, and {RETAINED}{table.name}.{name} does not exist."
        if declaration.erase is RETAIN and declaration.afterwards is None:
            yield f"{table.name}.{name} is to be retained: say `afterwards`, how long and why."
    if len({d.afterwards for d in personal.values() if d.erase is RETAIN}) > 1:
        yield f"{table.name}: one row can't be retained until two dates."


def _anonymised(table: Table, personal: dict[str, Declaration]) -> Iterator[str]:
    for name, declaration in personal.items():
        if declaration.erase is not ANONYMISE or not table.c[name].nullable:
            yield f"{table.name}.{name}: the row outlives its person; declare ANONYMISE and let it be null."
    if personal and f"ck_{table.name}_anonymous" not in {c.name for c in table.constraints}:
        yield f"{table.name} has no CHECK ck_{table.name}_anonymous: make it from Base."


def _ownerless(table: Table, personal: dict[str, Declaration]) -> Iterator[str]:
    for name, declaration in personal.items():
        if declaration.erase is not RETAIN:
            yield f"{table.name}.{name} is personal, and the table has no subject."
        elif declaration.keep.at_most is None:
            yield f"{table.name}.{name} is retained for ever: say until when and on which ground."
    if personal and UNTIL not in table.columns:
        yield f"{table.name} has no `{UNTIL}`: nothing would say when a row ends."
    if personal and not table.name.startswith(RETAINED):
        yield f"{table.name} keeps personal data without a subject: such a table is named {RETAINED}<table>."


def _goes(table: Table) -> bool:
    """Whether a person's rows are deleted with the person."""
    whose = subject_of(table)
    is_subjects = table.name == table.metadata.info["subjects"].partition(".")[0]
    return is_subjects or (whose is not None and whose.erase is DELETE)


def subject_of(table: Table) -> Subject | None:
    """How a table's rows end with their person; None if they are nobody's."""
    return next((d for c in table.columns if isinstance(d := declared(c), Subject)), None)


def describe(metadata: MetaData) -> list[dict[str, Any]]:
    """The inventory as plain data (strings, lists, mappings): a mapping for each table."""
    return [
        {
            "table": table.name,
            "erase": str(whose.erase) if (whose := subject_of(table)) is not None else None,
            "columns": [{"column": column.name, **_said(declared(column))} for column in table.columns],
        }
        for table in metadata.sorted_tables
    ]


def _said(what: Declaration | Plain | Subject | None) -> dict[str, Any]:
    if isinstance(what, Declaration):
        return {
            "personal": True,
            "category": str(what.category),
            "purpose": str(what.purpose),
            "basis": str(what.basis),
            "keep": what.keep.rule,
            "erase": str(what.erase),
        }
    if isinstance(what, Subject):
        return {"personal": True, "why": "whose row it is", "erase": str(what.erase)}
    return {"personal": False, "why": what.why if what is not None else ""}
