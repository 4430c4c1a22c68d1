"""The inventory: a column says what it holds about a person, or that it holds nothing, and why.

    Row = base("assets")
    TITLE = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, Keep.ACCOUNT, ANONYMISE)

    class Asset(Row, table=True):
        __tablename__ = "assets"
        id: UUID = plain("a random name", primary_key=True)
        account: UUID | None = subject(ANONYMISE)
        title: str | None = TITLE.column(Text)
        state: AssetState = plain("where it stands")        # a StrEnum: text, with a generated CHECK

The foreign key to the subject (`fk_<table>_subject`), the CHECK of an anonymised table
(`ck_<table>_anonymous`) and those of enums (`ck_<table>_<column>`) are generated, never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import MetaData
from sqlmodel import SQLModel


class Category(StrEnum):
    """What kind of personal data (as `options.proto` has it; NAME includes user names)."""

    EMAIL = "EMAIL"
    NAME = "NAME"
    CREDENTIAL = "CREDENTIAL"
    CONTENT = "CONTENT"
    MEDIA = "MEDIA"
    DEVICE = "DEVICE"
    PAYMENT = "PAYMENT"
    ACTIVITY = "ACTIVITY"
    """What a person did, and when."""


class Purpose(StrEnum):
    """Why it is processed (as `options.proto` has it)."""

    ACCOUNT = "ACCOUNT"
    AUTHENTICATION = "AUTHENTICATION"
    GENERATION = "GENERATION"
    STORAGE = "STORAGE"
    PUBLICATION = "PUBLICATION"
    PAYMENT = "PAYMENT"
    RIGHTS = "RIGHTS"
    SECURITY = "SECURITY"


class Basis(StrEnum):
    """The legal ground, GDPR Article 6(1), letters (a) to (f)."""

    CONSENT = "6(1)(a)"
    CONTRACT = "6(1)(b)"
    LEGAL_OBLIGATION = "6(1)(c)"
    VITAL_INTERESTS = "6(1)(d)"
    PUBLIC_TASK = "6(1)(e)"
    LEGITIMATE_INTERESTS = "6(1)(f)"


class Erase(StrEnum):
    """What erasing the person does to it."""

    DELETE = "DELETE"
    ANONYMISE = "ANONYMISE"
    RETAIN = "RETAIN"


DELETE, ANONYMISE, RETAIN = Erase.DELETE, Erase.ANONYMISE, Erase.RETAIN


@dataclass(frozen=True, slots=True)
class Keep:
    """How long it is kept: `Keep.ACCOUNT`, `Keep.days(30)`, `Keep.until("the mail is sent")`,
    `Keep.law("HGB § 257", timedelta(days=3653))`."""

    rule: str
    at_most: timedelta | None = None

    @classmethod
    def days(cls, number: int) -> Keep:
        """That many days, whatever happens to the account."""
        return cls(f"{number} days", timedelta(days=number))

    @classmethod
    def until(cls, event: str, at_most: timedelta | None = None) -> Keep:
        """Until something happens."""
        return cls(f"until {event}", at_most)

    @classmethod
    def law(cls, ground: str, duration: timedelta) -> Keep:
        """As long as a law demands; `ground` names it."""
        return cls(ground, duration)


ACCOUNT = Keep("while the account lives")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a column holds about a person, why, on which ground, how long, and what erasure does."""

    category: Category
    purpose: Purpose
    basis: Basis
    keep: Keep
    erase: Erase

    def column(self, sa_type: Any = None, **options: Any) -> Any:
        """A SQLModel field that carries this; `options` are those of `sqlmodel.Field` (default, index, ...)."""
        raise NotImplementedError


def plain(why: str, sa_type: Any = None, **options: Any) -> Any:
    """A field that says nothing about a person: `why` is shown to those who ask."""
    raise NotImplementedError


def subject(erase: Erase, **options: Any) -> Any:
    """The field `account`: whose row it is. The foreign key cascades (DELETE) or sets null (ANONYMISE)."""
    raise NotImplementedError


def base(service: str, subjects: str = "subjects.account") -> type[SQLModel]:
    """The class that a service's rows inherit from; `subjects` is the table.column that is one row a person.

    Identity says base("identity", subjects="accounts.<key>"): there the account itself is the subject.
    """
    raise NotImplementedError


def check(metadata: MetaData) -> list[str]:
    """What is undeclared or contradicts itself, a sentence each; empty is good."""
    raise NotImplementedError


def describe(metadata: MetaData) -> list[Mapping[str, Any]]:
    """The declarations as plain data: a mapping for each table, with its columns."""
    raise NotImplementedError
