"""A small schema with one table of each kind."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB

from promises.inventory import (
    ACCOUNT,
    ANONYMISE,
    DELETE,
    Base,
    Basis,
    Category,
    Declaration,
    Purpose,
    inventory,
    plain,
    subject,
)
from promises.tables import standard


class Row(Base, registry=inventory("library")):
    """What a made-up library keeps."""


standard(Row.metadata)
_CONTENT = (Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT)
TEXT, TITLE = Declaration(*_CONTENT, DELETE), Declaration(*_CONTENT, ANONYMISE)


class Mood(StrEnum):
    """How a note was meant."""

    GLAD = "GLAD"
    SAD = "SAD"


class Note(Row, table=True):
    """A note, which goes with its person."""

    __tablename__ = "notes"

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE)
    mood: Mood | None = plain("one of two", Text)
    words: dict[str, Any] = TEXT.column(JSONB)
    written: datetime = plain("when", DateTime(timezone=True))


class Work(Row, table=True):
    """A work, which stays without its person."""

    __tablename__ = "works"

    id: UUID = plain("a random name", primary_key=True)
    account: UUID | None = subject(ANONYMISE)
    title: str | None = TITLE.column()
    likes: int = plain("a count", default=0)


class Tally(Row, table=True):
    """A counter of nobody's."""

    __tablename__ = "tallies"

    name: str = plain("what is counted", primary_key=True)
    count: int = plain("a count")
